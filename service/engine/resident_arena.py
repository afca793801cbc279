"""The state arena where the device computes: graphs read and write it in place."""

from weakref import WeakSet

import numpy as np

from models.manifest import Manifest
from service.engine.arena import Slots, States
from service.engine.bound_graph import BoundGraph
from service.engine.layout import StateLayout
from service.engine.memory import Buffer, Memory
from service.engine.providers import open_session
from service.engine.resident import reader, writer
from service.engine.wrapping import arena_name, arena_next_name


class ResidentArena:
    """States in `memory`, room for `capacity` sessions in the initial state; see `Arena`.

    Only what `gather` returns and `scatter` takes crosses to the device and back, never the whole.

    Attributes:
        scratch_slot: one more slot, of no session: where padding and rehearsals step.
    """

    def __init__(self, manifest: Manifest, capacity: int, memory: Memory, intra_op_threads: int) -> None:
        self.capacity = capacity
        self.memory = memory
        self.scratch_slot = capacity
        self._layout = StateLayout(manifest.states)
        self._intra_op_threads = intra_op_threads
        self._arenas: dict[str, Buffer] = {}
        self._initial = [self._layout.initial(dtype) for dtype in self._layout.groups]
        for dtype, record in zip(self._layout.groups, self._initial, strict=True):
            arena = memory.rows(capacity + 1, record)
            self._arenas |= {arena_name(dtype): arena, arena_next_name(dtype): arena}
        self._graphs: WeakSet[BoundGraph] = WeakSet()
        self._reader = self.open(reader(self._layout), plans_memory=False)
        self._writer = self.open(writer(self._layout), plans_memory=False)

    def open(self, graph: bytes, *, plans_memory: bool = True, captured: bool = False) -> BoundGraph:
        """A graph over this arena, ready to run; see `open_session`."""
        session = open_session(
            graph, self.memory.device, self._intra_op_threads, plans_memory=plans_memory, captured=captured
        )
        bound = BoundGraph(session, self._arenas, self.memory)
        self._graphs.add(bound)
        return bound

    def reset(self, slots: Slots) -> None:
        """Put `slots` into the initial state."""
        records = (np.broadcast_to(record, (len(slots), len(record))) for record in self._initial)
        self._writer.run(slots, *records)

    def gather(self, slots: Slots) -> States:
        """The states of `slots`, each (B, *shape), in their order; the caller's own."""
        return self._layout.unpack(self._reader.run(slots))

    def scatter(self, slots: Slots, states: States) -> None:
        """Overwrite the states of `slots`, which must differ from each other."""
        self._writer.run(slots, *self._layout.pack(states))

    def check_integrity(self) -> None:
        """Arenas have the room that was asked for, and runs wrote them where they read them.

        Raises:
            AssertionError: with the numbers that differ.
        """
        for dtype in self._layout.groups:
            found = list(self._arenas[arena_name(dtype)].value.shape())
            expected = [self.capacity + 1, self._layout.width(dtype)]
            assert found == expected, f"{arena_name(dtype)} is {found}, its slots and states {expected}"
        for graph in self._graphs:
            graph.check_integrity()
