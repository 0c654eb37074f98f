"""Files that lie in packs: which of them are loaded by one request, and how they are cut out of its answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from datums.transfer.fetch_wanted import Wanted

Arrived: TypeAlias = tuple[Wanted, int]
"""A file, and where in what has come of its span it begins."""
GAP_BYTES: Final = 64 << 10
"""Between two files; where more lies between them, two requests cost less than reading it."""
_LEAST_BYTES, _MOST_BYTES = 256 << 10, 4 << 20
_HELD_BYTES: Final = 64 << 20
_SPAN_FILES: Final = 1000


class Span(msgspec.Struct):
    """Neighbours in one pack."""

    files: list[Wanted]
    """By offset, none overlaps another, each of at least one byte."""


def span_bytes(at_once: int) -> int:
    """About the size of one answer, each of which is held in memory.

    Args:
        at_once: as many answers there are, from all stores.
    """
    return max(_LEAST_BYTES, min(_MOST_BYTES, _HELD_BYTES // at_once))


def spans(files: Iterable[Wanted], most: int) -> Iterator[Span]:
    """Groups files.

    Args:
        files: of one store, sorted by key and offset.
        most: bytes of a span, if it is of more than one file.
    """
    group: list[Wanted] = []
    for wanted in files:
        if group and not _belongs(group, wanted, most):
            yield Span(group)
            group = []
        group.append(wanted)
    if group:
        yield Span(group)


def _belongs(group: list[Wanted], wanted: Wanted, most: int) -> bool:
    first, last = group[0], group[-1]
    gap = wanted.offset - last.offset - last.size
    return (
        wanted.key == last.key
        and 0 <= gap <= GAP_BYTES
        and wanted.offset + wanted.size - first.offset <= most
        and len(group) < _SPAN_FILES
    )


def arrived(files: Iterable[Wanted], size: int) -> Iterator[Arrived]:
    """The files of a span of which all bytes are there, and where in what has come each begins.

    Args:
        files: of the span, from the one on whose first byte has come first.
        size: how many bytes have come.
    """
    start = None
    for wanted in files:
        start = wanted.offset if start is None else start
        if wanted.offset - start + wanted.size > size:
            return
        yield wanted, wanted.offset - start
