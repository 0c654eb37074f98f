"""What is checked of files that lie in packs."""

from __future__ import annotations

import pytest

from datums.control.executions.verify import Packs

PACK, OTHER = "a/packs/0.tar", "a/packs/1.tar"


def packs(*ranges: tuple[str, int, int]) -> Packs:
    found = Packs("a/packs/")
    for number, (key, offset, size) in enumerate(ranges):
        found.add(f"{number}.txt", key, offset, size)
    return found


@pytest.mark.parametrize(
    "ranges",
    [
        [("a/files/x", 0, 7), ("a/files/y", 0, 7)],
        [(PACK, 2048, 100), (PACK, 512, 1000), (OTHER, 512, 9999)],
        [(PACK, 512, 0), (PACK, 1024, 0)],
        [(PACK, 512, 700), (PACK, 512, 700)],
    ],
)
def test_files_beside_each_other(ranges: list[tuple[str, int, int]]) -> None:
    packs(*ranges).check()


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ([("a/files/x", 512, 7)], "'0.txt' begins at byte 512 of a/files/x, where no pack is"),
        ([(PACK, 0, 7)], "begins at byte 0 of a/packs/0.tar, where no file of a tar begins"),
        ([(PACK, 513, 7)], "begins at byte 513 of a/packs/0.tar, where no file of a tar begins"),
        ([(PACK, 512, 2000), (PACK, 1024, 10)], "two files overlap at byte 1024 of a/packs/0.tar"),
        ([(PACK, 512, 600), (PACK, 512, 700)], "two files overlap at byte 512"),
    ],
)
def test_files_where_none_can_be(ranges: list[tuple[str, int, int]], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        packs(*ranges).check()
