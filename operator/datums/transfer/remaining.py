"""What is left to upload when main has ended: out of the inventory and the directory of taken files, as work for the uploader."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

from datums.transfer import packs
from datums.transfer.inventory import large_files, small_files, touched_files
from datums.transfer.journal import Journal, Slot
from datums.transfer.packs import Candidate
from datums.transfer.places import Places
from datums.transfer.uploads import Uploader

_PIECE: Final = 128

T = TypeVar("T")


def left_to_do(journal: Journal, places: Places, uploader: Uploader, *, pack: bool) -> Iterator[Callable[[], None]]:
    """What hands the uploader the files that are not saved yet, a piece at a time: large ones first, for they take longest.

    Args:
        journal: with the inventory.
        pack: whether small files are grouped.
    """
    for slots in _pieces(large_files(journal, pack=pack)):
        yield partial(uploader.submit_new, slots)
    if pack:
        yield from _small(journal, places, uploader)
    # At last: what was on its way when main ended is noted by now, or has been handed to the uploader once more.
    known = (file.slot for file, is_new in _taken_files(journal, places) if not (pack and is_new))
    for slots in _pieces(itertools.chain(touched_files(journal), known)):
        yield partial(uploader.submit, slots)


def _small(journal: Journal, places: Places, uploader: Uploader) -> Iterator[Callable[[], None]]:
    taken = (file for file, is_new in _taken_files(journal, places) if is_new)
    small = itertools.chain(small_files(journal), taken)
    first = list(itertools.islice(small, packs.MIN_FILES))
    if len(first) < packs.MIN_FILES:
        yield partial(uploader.submit, [file.slot for file in first])
        return
    for group in packs.grouped(itertools.chain(first, small)):
        yield partial(uploader.submit_pack, group)


def _taken_files(journal: Journal, places: Places) -> Iterator[tuple[Candidate, bool]]:
    """The taken files that still lie on the volume, and whether each is a small one of which the store has nothing."""
    for token, status in places.taken_files():
        path = journal.path_of_take(token)
        if path is not None:
            small = stat.S_ISREG(status.st_mode) and packs.is_small(status.st_size)
            yield Candidate((path, token), status.st_size), small and journal.done((path, token)) is None


def _pieces(slots: Iterator[Slot]) -> Iterator[list[Slot]]:
    while piece := list(itertools.islice(slots, _PIECE)):
        yield piece
