"""The decoders by name: how one recurrent output becomes a forecast of K steps."""

from models.decoders.direct import Direct
from models.decoders.recurrent import Recurrent
from models.decoders.roll_out import RollOut

DECODERS: dict[str, type[Direct | Recurrent | RollOut]] = {
    "direct": Direct,
    "recurrent": Recurrent,
    "roll-out": RollOut,
}

__all__ = ["DECODERS", "Direct", "Recurrent", "RollOut"]
