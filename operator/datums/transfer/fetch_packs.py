"""Files that lie in packs: which of them are loaded by one request, and how they are cut out of its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from datums.transfer.fetch_wanted import Wanted

if TYPE_CHECKING:
    from typing_extensions import Buffer

GAP_BYTES: Final = 64 << 10
"""Between two files; where more lies between them, two requests cost less than reading it."""
SPAN_BYTES: Final = 2 << 20
"""About the size of one answer, which is held in memory: a pack is read by several threads."""
_SPAN_FILES: Final = 1000


class Span(msgspec.Struct):
    """Neighbours in one pack."""

    files: list[Wanted]
    """By offset, none overlaps another, each of at least one byte."""


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


def cut(data: memoryview, files: Iterable[Wanted]) -> Iterator[tuple[Wanted, list[Buffer]]]:
    """The files of a span of which all bytes are there, each with its own.

    Args:
        data: what has come of the span.
        files: of the span.
    """
    start = None
    for wanted in files:
        start = wanted.offset if start is None else start
        begin, end = wanted.offset - start, wanted.offset - start + wanted.size
        if end > len(data):
            return
        yield wanted, [data[begin:end]]
