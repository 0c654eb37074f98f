"""Which files of a pack one request loads, and how they are cut out of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datums.transfer.fetch_packs import GAP_BYTES, arrived, span_bytes, spans
from datums.transfer.fetch_wanted import Wanted

SPAN_BYTES = span_bytes(32)


def _at(offset: int, size: int, key: str = "p") -> Wanted:
    return Wanted(path=f"{key}{offset}", store="s", key=key, offset=offset, size=size)


def _groups(files: list[Wanted]) -> list[list[int]]:
    return [[wanted.offset for wanted in span.files] for span in spans(files, SPAN_BYTES)]


def test_neighbours_are_one_span() -> None:
    assert _groups([]) == []
    assert _groups([_at(512, 100), _at(1536, 100)]) == [[512, 1536]]
    assert _groups([_at(512, 100), _at(612 + GAP_BYTES, 1), _at(614 + 2 * GAP_BYTES, 1)]) == [
        [512, 612 + GAP_BYTES],
        [614 + 2 * GAP_BYTES],
    ]


def test_other_packs_overlaps_and_too_much_begin_another() -> None:
    assert _groups([_at(512, 9), _at(600, 9, "q")]) == [[512], [600]]
    assert _groups([_at(512, 9), _at(512, 9), _at(522, 1)]) == [[512], [512, 522]]
    assert len(_groups([_at(512 + n * (1 << 18), 1 << 18) for n in range(20)])) == 3
    assert _groups([_at(512, SPAN_BYTES * 2), _at(512 + SPAN_BYTES * 2, 1)]) == [[512], [512 + SPAN_BYTES * 2]]


def test_however_many_threads_there_are_they_hold_no_more_than_a_quarter_of_the_memory() -> None:
    assert all(span_bytes(threads) * threads <= 64 << 20 for threads in range(1, 65))


@given(
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30)), max_size=10),
    st.integers(0, 1000),
)
def test_what_has_arrived_is_what_lies_there_whole(size: int, layout: list[tuple[int, int]], start: int) -> None:
    files, at = [], start
    for gap, length in layout:
        at += gap if files else 0
        files.append(_at(at, length))
        at += length
    found = list(arrived(files, size))
    assert found == [(wanted, wanted.offset - start) for wanted in files if wanted.offset - start + wanted.size <= size]
