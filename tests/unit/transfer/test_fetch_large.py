"""A large file that comes in segments."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import Any

import pytest

from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_large import SEGMENT_BYTES, Assembly, Blocks, Segment
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    spool: Any = None  # nothing is noted
    shelf = Shelf(tmp_path, ["input"], spool)
    (tmp_path / "input").mkdir()
    Path(shelf.partial).mkdir()
    return shelf


@pytest.fixture
def blocks() -> Blocks:
    return Blocks(2, lambda: None)


def begun(assembly: Assembly, blocks: Blocks) -> Segment:
    block = blocks.lend()
    assert block is not None
    return assembly.take(block)


def test_what_came_in_place_of_a_segment_is_not_in_the_file(shelf: Shelf, blocks: Blocks, tmp_path: Path) -> None:
    data = Random(1).randbytes(SEGMENT_BYTES + 10)
    assembly = Assembly(Wanted(path="x", store="s", key="x", size=len(data), etag="e"), shelf, blocks)
    first, last = begun(assembly, blocks), begun(assembly, blocks)
    assembly.open()
    last.sink.mark()
    last.sink.write(b"<Error><Code>SlowDown</Code></Error>")
    assert last.sink.take_back(7) == b"<Error>"
    last.sink.write(data[SEGMENT_BYTES:])
    assert last.left == 0
    assert not assembly.ended(last)
    first.sink.write(data[:SEGMENT_BYTES])
    assert assembly.ended(first)
    assembly.place()
    assert assembly.digest == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "input/x").read_bytes() == data
    assert (tmp_path / "input/x").stat().st_mode & 0o777 == 0o444
    assert list(Path(shelf.partial).iterdir()) == []


def test_no_more_segments_are_in_memory_than_may_be(shelf: Shelf) -> None:
    given_back: list[bool] = []
    blocks = Blocks(2, lambda: given_back.append(True))
    data = bytes(3 * SEGMENT_BYTES)
    assembly = Assembly(Wanted(path="x", store="s", key="x", size=len(data), etag="e"), shelf, blocks)
    first, second = begun(assembly, blocks), begun(assembly, blocks)
    assert blocks.lend() is None
    assembly.open()
    second.sink.write(data[:SEGMENT_BYTES])
    assert not assembly.ended(second)
    assert blocks.lend() is None  # it waits for its turn to be hashed
    first.sink.write(data[:SEGMENT_BYTES])
    assert not assembly.ended(first)
    assert len(given_back) == 2
    third = begun(assembly, blocks)
    assert third.sink.position == 0
    third.sink.write(data[:SEGMENT_BYTES])
    assert assembly.ended(third)
    assert assembly.digest == hashlib.sha256(data).hexdigest()


def test_a_digest_that_is_far_behind_is_told(shelf: Shelf) -> None:
    blocks = Blocks(4, lambda: None)
    assembly = Assembly(Wanted(path="x", store="s", key="x", size=4 * SEGMENT_BYTES, etag="e"), shelf, blocks)
    first, *others = [begun(assembly, blocks) for _ in range(4)]
    assembly.open()
    assert assembly.is_begun
    assert assembly.ahead == 4
    for segment in others:
        assert not assembly.is_behind
        segment.sink.write(bytes(SEGMENT_BYTES))
        assembly.ended(segment)
    assert assembly.is_behind
    first.sink.write(bytes(SEGMENT_BYTES))
    assert assembly.ended(first)
    assert assembly.ahead == 0
    assert not assembly.is_behind


def test_a_file_without_room_is_refused_before_any_byte_comes(shelf: Shelf, blocks: Blocks) -> None:
    assembly = Assembly(Wanted(path="x", store="s", key="x", size=1 << 60, etag="e"), shelf, blocks)
    with pytest.raises(FetchError, match=r"no space left for .*/input/x \(1,152,921,504,606,846,976 bytes\)"):
        assembly.open()
    assert list(Path(shelf.partial).iterdir()) == []
