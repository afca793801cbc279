"""Where a run computes and in what precision: the arguments of Lightning's Trainer that say so."""

from typing import Any

import torch

from training.processes import num_here, num_processes, started_by_torchrun
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
    here, world = num_here(), num_processes()
    if settings.devices not in (1, here):
        expected = (
            f"{here}, the processes that torchrun started" if started_by_torchrun() else "1 without torchrun"
        )
        raise SettingsError(f"devices: expected {expected}, found {settings.devices}")
    if accelerator == "cuda" and here > torch.cuda.device_count():
        raise SettingsError(
            f"devices: expected at most {torch.cuda.device_count()}, the GPUs of this machine, found {here}"
        )
    if world == 1:
        return {"devices": 1}
    # Heads have numbers that a loss leaves out.
    strategy = "ddp_find_unused_parameters_true"
    return {
        "devices": here,
        "num_nodes": world // here,
        "strategy": strategy,
        "use_distributed_sampler": False,
    }
