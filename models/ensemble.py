"""Several forecasters in one graph, whose forecasts are averaged."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.forecaster import Forecaster
from models.spread import Spread
from models.state import State, StateInit
from models.watch import Watch


class Ensemble(nn.Module):
    """Members of one architecture, trained apart; a forecast's columns are the means of theirs.

    Quantiles are averaged level by level (Vincentization, Ratcliff 1979; Lichtendahl et al. 2013), which
    keeps their order and their calibration where the members' own are calibrated. What the inputs remember
    is no member's own, as it is nothing learned: they share it, and each keeps the state of its cell, a
    number before the name.
    """

    def __init__(
        self, members: Sequence[Forecaster], *, calibrate: bool = False, anomaly: bool = False
    ) -> None:
        """`members` neither calibrate nor score for themselves."""
        super().__init__()
        self.parts = nn.ModuleList(members)
        a = replace(self.first.architecture, calibrate=calibrate, anomaly=anomaly)
        self.architecture = a
        self.watch = Watch(a.quantile_levels, a.horizon, calibrate, anomaly) if calibrate or anomaly else None

    @property
    def members(self) -> list[Forecaster]:
        """The forecasters, in the order of their states."""
        return [member for member in self.parts if isinstance(member, Forecaster)]

    @property
    def first(self) -> Forecaster:
        """Any member: what they have in common."""
        return self.members[0]

    def state_init(self) -> dict[str, StateInit]:
        """Each member's cell, then what the inputs remember, then what the watch does."""
        own = {
            _named(at, name): init
            for at, member in enumerate(self.members)
            for name, init in member.cell.state_init().items()
        }
        watched = self.watch.state_init() if self.watch else {}
        return {**own, **self.first.inputs.state_init(), **watched}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Forecaster.forward`."""
        forecast, _, after = self.scored(x, state)
        return forecast, after

    def scored(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """See `Forecaster.scored`; the watch is of the mean, not of a member."""
        if not self.first.head.needs_unit:
            made = [member(x, self._of(at, member, state)) for at, member in enumerate(self.members)]
            forecast = torch.stack([one for one, _ in made]).mean(dim=0)
            return forecast, None, self._joined([after for _, after in made])
        spreads = [member.spread(x, self._of(at, member, state)) for at, member in enumerate(self.members)]
        spread, after = _mean([one for one, _ in spreads]), self._joined([one for _, one in spreads])
        if self.watch is None:
            return spread.raw, None, after
        spread, scores, watched = self.watch(*self.first.inputs.target(x, after), spread, state)
        return spread.raw, scores, {**after, **watched}

    def read_out(self, state: State) -> Tensor:
        """See `Forecaster.read_out`."""
        own = [(member, self._of(at, member, state)) for at, member in enumerate(self.members)]
        if not self.first.head.needs_unit:
            return torch.stack([member.read_out(states) for member, states in own]).mean(dim=0)
        spread = _mean([member.spread_out(states) for member, states in own])
        return (self.watch.read_out(spread, state) if self.watch else spread).raw

    def _joined(self, afters: Sequence[State]) -> State:
        """Members' next states under the names of the ensemble, in the order of its states."""
        joined = State()
        for at, (member, after) in enumerate(zip(self.members, afters, strict=True)):
            joined |= {_named(at, name): after[name] for name in member.cell.state_init()}
        return joined | {name: afters[0][name] for name in self.first.inputs.state_init()}

    def _of(self, at: int, member: Forecaster, state: State) -> State:
        own = {name: state[_named(at, name)] for name in member.cell.state_init()}
        return {**own, **{name: state[name] for name in member.inputs.state_init()}}


def _named(member: int, state: str) -> str:
    return f"member{member}_{state}"


def _mean(spreads: Sequence[Spread]) -> Spread:
    """About their point, which is one and the same: small differences keep their digits there."""
    return replace(spreads[0], quantiles=torch.stack([one.quantiles for one in spreads]).mean(dim=0))
