"""Building packs one at a time, or two where there are many files: one by a second process."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from datums.transfer import packs
from datums.transfer.journal import Slot
from datums.transfer.outputs import Refused, read_exactly
from datums.transfer.places import Places
from datums.transfer.second import Lost, Turns

if TYPE_CHECKING:
    from datums.transfer.second import Second


class Packing:
    """Safe to use from several threads.

    Args:
        places: where the files lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._turns = Turns("datums.transfer.pack")
        self._files = 0

    def expect(self, files: int) -> None:
        """So many more are about to be packed."""
        self._files += files
        self._turns.begin(self._files)

    def get_ready(self, files: int) -> None:
        """So many may be packed in all."""
        self._turns.begin(files)

    def close(self) -> None:
        """Ends the second process."""
        self._turns.close()

    def build(self, memory: memoryview, number: int, slots: list[Slot], *, final: bool) -> packs.Packed:
        """`packs.build`."""
        with self._turns.turn() as second:
            if second is not None:
                with suppress(Lost, OSError, Refused):  # then it is done here
                    return self._elsewhere(second, memory, number, slots, final=final)
            return packs.build(memory, number, slots, self._places, final=final)

    def _elsewhere(self, second: Second, memory: memoryview, number: int, slots: list[Slot], *, final: bool) -> packs.Packed:
        from datums.transfer.pack import Order  # noqa: PLC0415

        file = os.memfd_create("pack", os.MFD_CLOEXEC)
        try:
            os.ftruncate(file, packs.PACK_BYTES)
            order = msgspec.msgpack.encode(Order(number, slots, final))
            packed = msgspec.msgpack.decode(second.call(order, [file, self._places.files, self._places.taken]), type=packs.Packed)
            if not read_exactly(file, memory[: packed.size]):
                raise Lost("the pack is shorter than it was said to be")
            return packed
        finally:
            os.close(file)
