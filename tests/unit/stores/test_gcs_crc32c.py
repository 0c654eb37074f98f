"""The sum of parts is that of the whole."""

from __future__ import annotations

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datums.stores.gcs_crc32c import Piece, join, measure, parse


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_parts_join_to_the_whole(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert join(map(measure, parts)) == Piece(google_crc32c.value(whole), len(whole))


def test_large_parts_of_one_size_join() -> None:
    part, last = bytes(range(256)) * 4096, b"end"
    assert join([measure(part)] * 5 + [measure(last)]).crc32c == google_crc32c.value(part * 5 + last)


@given(st.binary(max_size=100))
def test_a_tag_is_read_back(data: bytes) -> None:
    assert parse(str(measure(data))) == measure(data)
    assert measure(memoryview(bytearray(data))) == measure(data)


@pytest.mark.parametrize("tag", ["", "12", "x:1", "1:y"])
def test_what_is_no_tag(tag: str) -> None:
    with pytest.raises(ValueError):
        parse(tag)
