"""A large file that comes in segments."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from datums.transfer.fetch_large import SEGMENT_BYTES, Assembly, Segment
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    spool: Any = None  # nothing is noted
    shelf = Shelf(tmp_path, ["input"], spool)
    (tmp_path / "input").mkdir()
    Path(shelf.partial).mkdir()
    return shelf


def write(segment: Segment, data: bytes) -> None:
    segment.sink.write(data)
    segment.position = segment.sink.position


def test_what_came_in_place_of_the_last_segment_is_not_behind_it(shelf: Shelf, tmp_path: Path) -> None:
    """An error's body that is longer than what is missing. The digest is of the file's size, so it would not see it."""
    data = Random(1).randbytes(SEGMENT_BYTES + 10)
    wanted = Wanted(path="x", store="s", key="x", size=len(data), etag="e")
    assembly = Assembly(wanted, shelf, window=2)
    first, last = assembly.take(), assembly.take()
    assembly.open(last)
    last.sink.mark()
    write(last, b"<Error><Code>SlowDown</Code></Error>")
    assert last.sink.take_back(7) == b"<Error>"
    write(last, data[SEGMENT_BYTES:])
    last.close()
    assert not assembly.ended(last)
    assembly.open(first)
    write(first, data[:SEGMENT_BYTES])
    first.close()
    assert assembly.ended(first)
    assembly.place()
    assert assembly.digest == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "input/x").read_bytes() == data
    assert (tmp_path / "input/x").stat().st_mode & 0o777 == 0o444
    assert list(Path(shelf.partial).iterdir()) == []
