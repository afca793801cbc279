"""A script's call, and its bytes on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.store.valkey_keys import Group
from service.store.valkey_scripts import Script


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """A script on keys of one partition; of any in a server that is no Cluster.

    Attributes:
        partition: see `valkey_keys`.
        arguments: what the script has as ARGV.
    """

    partition: int
    script: Script
    keys: Sequence[bytes]
    arguments: Sequence[bytes]

    def packed(self, by_text: bool = False) -> list[bytes]:
        """The command as bytes to send: EVALSHA or, where the server does not know the script, EVAL.

        redis-py's own packing takes 1 us and more an argument; a batch has hundreds of keys.
        """
        script = self.script.text if by_text else self.script.sha
        command = (b"EVAL" if by_text else b"EVALSHA", script, b"%d" % len(self.keys), *self.keys)
        packed = [packed_command(command, num_more=len(self.arguments))]
        for argument in self.arguments:
            packed += (b"$%d\r\n" % len(argument), argument, b"\r\n")
        return packed


def packed_command(words: Sequence[bytes], num_more: int = 0) -> bytes:
    """A command as it is sent, or its beginning: `num_more` words follow."""
    # Keys are as long as one another, or nearly so.
    lengths = {num_bytes: b"$%d\r\n" % num_bytes for num_bytes in set(map(len, words))}
    parts = [part for word in words for part in (lengths[len(word)], word, b"\r\n")]
    return b"*%d\r\n" % (len(words) + num_more) + b"".join(parts)


def call_on(script: Script, group: Group, *arguments: bytes, with_lists: bool = True) -> Call:
    """A call of a script on the keys of some sessions; `with_lists`: and on the lists that have their ids."""
    keys = [*group.records, *group.recents, *(group.indexes if with_lists else ())]
    shape = [b"%d" % len(group.records), b"%d" % bool(group.recents)]
    return Call(group.partition, script, keys, [*shape, *arguments])


def chosen(groups: Sequence[Group], replies: Sequence[list[int]]) -> list[int]:
    """Which sessions the replies name, each reply counting its group's from 1."""
    return [
        int(group.rows[number - 1]) for group, reply in zip(groups, replies, strict=True) for number in reply
    ]
