"""The processes that torchrun started for one run, as its environment tells of them. No torch here."""

import os


class AnotherPublishes(Exception):
    """This process has trained its part; the first one has the weights, exports and publishes."""


def started_by_torchrun() -> bool:
    """Whether torchrun started this process, on its own or beside others."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank() -> int:
    """Which of them this one is; 0 where there is only one."""
    return int(os.environ["RANK"]) if started_by_torchrun() else 0


def num_processes() -> int:
    """Processes of the run, on all machines."""
    return int(os.environ["WORLD_SIZE"]) if started_by_torchrun() else 1


def num_here() -> int:
    """Processes of the run on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if started_by_torchrun() else 1
