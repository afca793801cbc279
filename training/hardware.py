"""Where a run computes and in what precision: the arguments of Lightning's Trainer that say so."""

import os
from typing import Any

import torch

from training.settings import SettingsError, TrainSettings


def hardware(settings: TrainSettings) -> dict[str, Any]:
    """`accelerator`, `devices`, `precision` and the like, of one process or of those that torchrun started.

    Raises:
        SettingsError: more GPUs than there are, or a precision that the processor has not.
    """
    # The scaler's sums are float64, which Apple's MPS lacks; so they stay in mixed precision.
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if settings.precision == "16-mixed" and accelerator == "cpu":
        raise SettingsError("precision: expected 32 or bf16-mixed on a CPU, found '16-mixed'")
    return {"accelerator": accelerator, "precision": settings.precision, **_processes(settings, accelerator)}


def _processes(settings: TrainSettings, accelerator: str) -> dict[str, Any]:
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        if settings.devices > 1:
            raise SettingsError(
                f"devices: expected 1, or one process for each by torchrun, found {settings.devices}"
            )
        return {"devices": 1}
    world, here = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    if settings.devices not in (1, here):
        raise SettingsError(f"devices: expected {here}, as torchrun was told, found {settings.devices}")
    if accelerator == "cuda" and here > torch.cuda.device_count():
        raise SettingsError(
            f"devices: expected at most {torch.cuda.device_count()}, the GPUs of this machine, found {here}"
        )
    # One process of torchrun is as good as none.
    strategy = {"strategy": "ddp_find_unused_parameters_true"} if world > 1 else {}
    return {"devices": here, "num_nodes": world // here, "use_distributed_sampler": False, **strategy}
