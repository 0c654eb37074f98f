"""Memory that an answer is written to."""

from __future__ import annotations

from random import Random

import pytest

from datums.stores.sink_memory import Block, TooLong

SIZE = 100_000
DATA = Random(1).randbytes(SIZE - 1) + b"x"


def test_a_full_block_holds_every_byte() -> None:
    block = Block(SIZE)
    for at in range(0, SIZE, 16 << 10):
        block.write(DATA[at : at + (16 << 10)])
    assert block.position == SIZE
    assert block.read() == DATA


def test_what_is_taken_back_was_never_there() -> None:
    block = Block(SIZE)
    block.write(DATA[:3])
    block.mark()
    block.write(b"an error")
    assert block.take_back(5) == b"an er"
    assert block.position == 3
    assert block.take_back(5) == b""
    block.write(DATA[3:])
    assert block.read() == DATA


def test_a_block_that_begins_anew_holds_what_comes_then() -> None:
    block = Block(SIZE)
    block.write(DATA)
    block.restart()
    assert block.read() == b""
    block.write(b"abc")
    assert block.read() == b"abc"


def test_more_bytes_than_there_is_room_for_are_refused() -> None:
    block = Block(SIZE)
    with pytest.raises(TooLong, match="more bytes came than were expected"):
        block.write(DATA + b"two")
