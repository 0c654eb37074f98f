"""Files that lie in packs: which of them are loaded by one request, and how they are cut out of its answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from datums.transfer.fetch_wanted import Wanted

if TYPE_CHECKING:
    from typing_extensions import Buffer

GAP_BYTES: Final = 64 << 10
"""Between two files; where more lies between them, two requests cost less than reading it."""
SPAN_BYTES: Final = 8 << 20
"""About the size of one answer: a pack is read by several threads."""
_SPAN_FILES: Final = 1000


class Span(msgspec.Struct):
    """Neighbours in one pack."""

    files: list[Wanted]
    """By offset, none overlaps another, each of at least one byte."""
    done: int = 0
    """How many of them have come."""
    damaged: list[Wanted] = []
    """Those that were other than they should be: perhaps only on their way."""


def spans(files: Iterable[Wanted]) -> Iterator[Span]:
    """Groups files.

    Args:
        files: of one store, sorted by key and offset.
    """
    group: list[Wanted] = []
    for wanted in files:
        if group and not _belongs(group[0], group[-1], wanted, len(group)):
            yield Span(group)
            group = []
        group.append(wanted)
    if group:
        yield Span(group)


def _belongs(first: Wanted, last: Wanted, wanted: Wanted, count: int) -> bool:
    gap = wanted.offset - last.offset - last.size
    return (
        wanted.key == last.key
        and 0 <= gap <= GAP_BYTES
        and wanted.offset + wanted.size - first.offset <= SPAN_BYTES
        and count < _SPAN_FILES
    )


class Cutter:
    """Cuts places out of an object whose bytes come chunk by chunk.

    Args:
        start: where in the object the first chunk begins.
        places: (offset in the object, size), sorted, none overlaps another.
    """

    def __init__(self, start: int, places: Iterable[tuple[int, int]]) -> None:
        self._at = start
        self._places = iter(places)
        self._place = next(self._places, None)
        self._begun: list[Buffer] = []
        """What has come of the place, kept from earlier chunks."""
        self._got = 0

    def feed(self, chunk: memoryview) -> Iterator[list[Buffer]]:
        """The bytes of each place that is whole now, in pieces. Nothing is copied but what is to wait for the next chunk: they hold
        until then.

        Args:
            chunk: what follows.
        """
        end = self._at + len(chunk)
        while self._place is not None:
            offset, size = self._place
            begin = offset + self._got
            piece = chunk[max(0, begin - self._at) : max(0, offset + size - self._at)] if begin < end else chunk[:0]
            self._got += len(piece)
            if self._got < size:
                if len(piece):
                    self._begun.append(bytes(piece))
                break
            pieces = [*self._begun, piece] if len(piece) else self._begun
            self._begun, self._got = [], 0
            self._place = next(self._places, None)
            yield pieces
        self._at = end
