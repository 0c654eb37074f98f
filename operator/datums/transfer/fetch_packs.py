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
_SPAN_FILES: Final = 4000


class Span(msgspec.Struct):
    """Neighbours in one pack."""

    files: list[Wanted]
    """By offset, none overlaps another, each of at least one byte."""
    done: int = 0
    """How many of them are loaded."""


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


def cut(chunks: Iterable[Buffer], start: int, places: Iterable[tuple[int, int]]) -> Iterator[list[memoryview]]:
    """The bytes of each place, in pieces; nothing is copied.

    Args:
        chunks: of an object, from `start` on.
        places: (offset in the object, size), sorted, none overlaps another. Chunks that end too early end the result.
    """
    stream = iter(chunks)
    view = memoryview(b"")
    for offset, size in places:
        pieces: list[memoryview] = []
        left = size
        while left:
            if not view.nbytes:
                try:
                    view = memoryview(next(stream))
                except StopIteration:
                    return
            skipped = min(view.nbytes, max(0, offset - start))
            piece = view[skipped : skipped + left]
            if piece.nbytes:
                pieces.append(piece)
            left -= piece.nbytes
            view, start = view[skipped + piece.nbytes :], start + skipped + piece.nbytes
        yield pieces
