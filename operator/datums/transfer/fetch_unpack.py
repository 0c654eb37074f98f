"""Small files out of what has come of a pack: verified, written and noted, by a second process where there are many."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from datums.transfer.fetch_arrivals import Arrivals
from datums.transfer.fetch_packs import Arrived
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.second import Lost, Second, Turns
from datums.transfer.unpack import Order, Packed, Unpacked

if TYPE_CHECKING:
    from datums.stores.sink_memory import MemoryFile


class Unpacking:
    """Of one store; safe to use from several threads.

    Args:
        turns: of `datums.transfer.unpack`.
    """

    def __init__(self, arrivals: Arrivals, shelf: Shelf, turns: Turns) -> None:
        self._arrivals = arrivals
        self._shelf = shelf
        self._turns = turns

    def take(self, memory: MemoryFile, files: Sequence[Arrived]) -> list[Wanted]:
        """Unpacks files; those that are not what they should be, perhaps because they were damaged on their way.

        Args:
            memory: what came of the pack.

        Raises:
            FetchError: one cannot be written.
        """
        with self._turns.turn() as second:
            if second and files and all(wanted.sha256 for wanted, _ in files):
                with suppress(Lost):  # then it is done here
                    return self._elsewhere(second, memory, files)
            data = memory.read()
            return self._arrivals.take(((wanted, [data[at : at + wanted.size]]) for wanted, at in files), last=False)

    def _elsewhere(self, second: Second, memory: MemoryFile, files: Sequence[Arrived]) -> list[Wanted]:
        packed = [Packed(at, wanted.size, wanted.sha256, self._shelf.target(wanted)) for wanted, at in files]
        answer = second.call(msgspec.msgpack.encode(Order(self._shelf.partial, packed)), [memory.file])
        unpacked = msgspec.msgpack.decode(answer, type=Unpacked)
        damaged = set(unpacked.damaged)
        done = files[: unpacked.failed] if unpacked.failed >= 0 else files
        self._arrivals.unpacked([wanted for n, (wanted, _) in enumerate(done) if n not in damaged])
        if unpacked.failed >= 0:
            raise self._shelf.failed(OSError(unpacked.errno, os.strerror(unpacked.errno)), files[unpacked.failed][0])
        return [files[n][0] for n in unpacked.damaged]
