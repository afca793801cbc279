"""Real engines that fail when told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import onnxruntime
import pytest

from models.artifact import unseal
from models.manifest import Manifest
from service.engine.arena import Arena, Slots, States
from service.engine.graphs import split
from service.engine.memory import MEMORIES, Memory
from service.engine.resident_arena import ResidentArena
from service.engine.resident_runner import ResidentRunner
from service.engine.runner import Forecasts, NumpyRunner, Reply, Rows, Runner
from tests import model_files

# Fixed sizes are for devices where padding is cheap; what pads must be right on any.
_MEMORIES = {"resident": MEMORIES["cpu"], "padded": Memory("cpu", fixed_sizes=(1, 3))}
KINDS = (*_MEMORIES, "numpy")
# Under this name `forecasters.runner` seals the same file.
MODEL = "m"


class DeviceLost(RuntimeError):
    """What a failing device raises."""


class Device:
    """ONNX Runtime's own calls, one of which can be made to fail. Counts only within a runner's call."""

    def __init__(self) -> None:
        self.fail_in = 0

    @contextmanager
    def failing(self, run: int) -> Iterator[None]:
        """Within, the `run`-th call of ONNX Runtime fails; 0 for none."""
        self.fail_in = run
        try:
            yield
        finally:
            self.fail_in = 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Stand between this process and ONNX Runtime."""
        for name in ("run", "run_with_iobinding", "run_with_ort_values"):
            patch.setattr(onnxruntime.InferenceSession, name, self._guarded(name))

    def _guarded(self, name: str) -> Callable[..., Any]:
        real = getattr(onnxruntime.InferenceSession, name)

        def guarded(session: onnxruntime.InferenceSession, *args: Any, **kwargs: Any) -> Any:
            if self.fail_in:
                self.fail_in -= 1
                if not self.fail_in:
                    raise DeviceLost("the device fell off within a run")
            return real(session, *args, **kwargs)

        return guarded


class FailingRunner:
    """A real runner, some of whose calls fail: before anything ran, or within.

    Attributes:
        lost: the slots of every call that failed.
        num_failures: calls that failed.
    """

    def __init__(self, runner: Runner, device: Device) -> None:
        self._runner = runner
        self._device = device
        self._plans: dict[int, int] = {}
        self._num_calls = 0
        self.num_failures = 0
        self.lost: set[int] = set()

    def fail(self, ahead: int, within: int) -> None:
        """The `ahead`-th call from now fails, before its ONNX Runtime call number `within`; 0: at once."""
        self._plans[self._num_calls + ahead] = within

    def heal(self) -> None:
        """No later call fails."""
        self._plans.clear()

    def step(self, slots: Slots, rows: Rows, reply: Reply) -> Forecasts | None:
        """See `Runner.step`."""
        assert len(set(slots.tolist())) == len(slots), "a session twice in one run"
        return self._call(slots, lambda: self._runner.step(slots, rows, reply))

    def read_out(self, slots: Slots) -> Forecasts:
        """See `Runner.read_out`."""
        return self._call(slots, lambda: self._runner.read_out(slots))

    def reset(self, slots: Slots) -> None:
        """See `Runner.reset`."""
        self._runner.reset(slots)

    def states(self, slots: Slots) -> States:
        """See `Runner.states`."""
        return self._runner.states(slots)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def _call(self, slots: Slots, call: Callable[[], Any]) -> Any:
        self._num_calls += 1
        within = self._plans.pop(self._num_calls, None)
        try:
            if within == 0:
                raise DeviceLost("the device fell off before a run")
            with self._device.failing(within or 0):
                return call()
        except Exception:
            self.num_failures += 1
            self.lost.update(slots.tolist())
            raise


@dataclass(frozen=True)
class Engine:
    """A runner of the test models' file, and the states it steps."""

    manifest: Manifest
    runner: Runner
    arena: Arena | ResidentArena


@cache
def engine(kind: str, cell: str, number: int, capacity: int) -> Engine:
    """The same one for the same arguments: to open one takes longer than an example."""
    content, manifest = model_files.sealed(MODEL, cell)
    graphs = split(unseal(content)[0], manifest)
    if kind in _MEMORIES:
        resident = ResidentArena(manifest, capacity, _MEMORIES[kind], 1)
        return Engine(manifest, ResidentRunner(graphs, manifest, resident), resident)
    arena = Arena(manifest.states, capacity)
    return Engine(manifest, NumpyRunner(graphs, manifest, arena, "cpu", 1), arena)
