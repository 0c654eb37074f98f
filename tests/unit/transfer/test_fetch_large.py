"""A large file that comes in segments."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from datums.api.reasons import Failed
from datums.stores.sink import Sink
from datums.transfer.download import Downloader
from datums.transfer.fetch_arrivals import Arrivals
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_large import SEGMENT_BYTES, Assembly, Blocks, Segment
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.flights import Flight
from datums.transfer.pace import Pace


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


@pytest.mark.parametrize("more", [1, SEGMENT_BYTES])
def test_an_object_that_is_longer_than_was_told_is_refused(shelf: Shelf, blocks: Blocks, more: int) -> None:
    """Under the same ETag, so that the service takes it for the same version."""

    class Longer:
        asked: tuple[int, int | None] = (0, 0)

        def uri(self, key: str) -> str:
            return f"s3://bucket/{key}"

        def download(self, key: str, sink: Sink, came: Any, offset: int, length: int | None, **_: Any) -> None:
            self.asked = offset, length
            sink.write(bytes(10 + more))

    line: Any = SimpleNamespace(store=Longer(), pace=Pace(1))
    progress = Progress()
    arrivals = Arrivals(line, shelf, ["input"], progress)
    unpacking: Any = None
    downloader = Downloader(line, shelf, arrivals, unpacking, progress, threading.Event())
    assembly = Assembly(Wanted(path="x", store="s", key="x", size=SEGMENT_BYTES + 10, etag="e"), shelf, blocks)
    first, last = begun(assembly, blocks), begun(assembly, blocks)
    assert not first.is_open
    with pytest.raises(FetchError, match="is another version with") as refused:
        downloader.work(last, Flight("x"))
    assert refused.value.reason == Failed.INPUT_CHANGED
    assert line.store.asked == (SEGMENT_BYTES, None)


def test_a_file_whose_digest_is_known_is_not_read_behind_its_end(shelf: Shelf, blocks: Blocks) -> None:
    assembly = Assembly(Wanted(path="x", store="s", key="x", size=SEGMENT_BYTES + 10, sha256="0" * 64), shelf, blocks)
    assert [begun(assembly, blocks).is_open for _ in range(2)] == [False, False]
