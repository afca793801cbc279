"""The loaded versions of one model, and what becomes of sessions when there is a newer one."""

from dataclasses import dataclass
from enum import StrEnum

from service.engine.model import ServedModel
from service.errors import UpgradeRefused
from service.sessions.state_bytes import StateBytes

# What a caller sends and gets; rows are made when they are read, for all versions alike.
_FIXED = (
    "features", "reads_time", "task", "predicts", "horizon", "quantile_levels", "labels", "frequency"
)  # fmt: skip


class UpgradePolicy(StrEnum):
    """What sessions of an older version do.

    PIN: stay on it until they end. CARRY: take their state along. REPLAY: the new version runs over their
    recent rows from its initial state.
    """

    PIN = "pin"
    CARRY = "carry"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version with its place in the table's `versions` column, and what its sessions do next.

    Attributes:
        policy: PIN for the one that is served.
    """

    index: int
    model: ServedModel
    states: StateBytes
    policy: UpgradePolicy


class Versions:
    """Versions by index. An index that was unloaded is not given again."""

    def __init__(self, model: ServedModel) -> None:
        self._loaded: dict[int, Loaded] = {}
        self._next = 0
        # Of sessions of older versions that come from the store.
        self.policy = UpgradePolicy(model.manifest.upgrade)
        self.newest = self._add(model)

    def __len__(self) -> int:
        return len(self._loaded)

    def __getitem__(self, index: int) -> Loaded:
        return self._loaded[index]

    def all(self) -> list[Loaded]:
        """In the order in which they were loaded."""
        return list(self._loaded.values())

    def by_digest(self, digest: str) -> Loaded | None:
        """The version of a model file, the newest of several."""
        found = [loaded for loaded in self._loaded.values() if loaded.model.manifest.digest == digest]
        return found[-1] if found else None

    def check(self, model: ServedModel, policy: UpgradePolicy, num_recent_rows: int) -> None:
        """Whether sessions can go over to another version.

        Raises:
            UpgradeRefused: names what differs.
        """
        old, new = self.newest.model.manifest, model.manifest
        for what in _FIXED:
            found, expected = getattr(new, what), getattr(old, what)
            if found != expected:
                reason = (
                    f"its {what} are {found}, those of version {self.newest.model.version} are {expected}"
                )
                raise UpgradeRefused(model.name, model.version, f"{reason}; serve it under another name")
        if policy is UpgradePolicy.CARRY and new.states != old.states:
            raise UpgradeRefused(model.name, model.version, "its states differ; use pin or replay")
        if policy is UpgradePolicy.REPLAY and not num_recent_rows:
            raise UpgradeRefused(
                model.name, model.version, "no recent rows are kept (recent_rows is 0); use pin or carry"
            )

    def serve(self, model: ServedModel, policy: UpgradePolicy) -> Loaded:
        """New sessions begin with this version; those of all others do as `policy` says.

        A version that is loaded already is served again as it is.
        """
        self.policy = policy
        self.newest = self.by_digest(model.manifest.digest) or self._add(model)
        for index, loaded in self._loaded.items():
            own = UpgradePolicy.PIN if index == self.newest.index else policy
            self._loaded[index] = Loaded(index, loaded.model, loaded.states, own)
        self.newest = self._loaded[self.newest.index]
        return self.newest

    def adopt(self, model: ServedModel) -> Loaded:
        """An older version, because sessions of it came back from the store."""
        loaded = self._add(model)
        self._loaded[loaded.index] = Loaded(loaded.index, model, loaded.states, self.policy)
        return self._loaded[loaded.index]

    def unload(self, index: int) -> None:
        """Nobody in memory is on it."""
        del self._loaded[index]

    def _add(self, model: ServedModel) -> Loaded:
        loaded = Loaded(self._next, model, StateBytes(model.manifest.states), UpgradePolicy.PIN)
        self._loaded[self._next] = loaded
        self._next += 1
        return loaded
