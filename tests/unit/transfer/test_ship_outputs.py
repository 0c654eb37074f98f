from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.transfer.inventory import take_inventory
from datums.transfer.live import quiet_seconds
from datums.transfer.outputs import Gone, is_open_for_writing, opened, walk

MAIN = "/valohai/outputs"


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outside").write_text("secret")
    fd = os.open(tmp_path / "outputs", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def outputs(root: int, tmp_path: Path) -> Path:
    return tmp_path / "outputs"


def test_no_component_may_be_a_link(root: int, outputs: Path, tmp_path: Path) -> None:
    (outputs / "real").mkdir()
    (outputs / "real/f").write_text("x")
    (outputs / "dir").symlink_to("real")
    (outputs / "file").symlink_to(tmp_path / "outside")
    (outputs / "up").symlink_to("..")
    with opened(root, "real/f") as fd:
        assert os.read(fd, 9) == b"x"
    for path in ("dir/f", "file", "up/outside", "real/f/g", "real", "none"):
        with pytest.raises(Gone), opened(root, path):
            pass


def test_opening_never_blocks(root: int, outputs: Path) -> None:
    os.mkfifo(outputs / "fifo")
    with pytest.raises(Gone), opened(root, "fifo"):
        pass


def test_the_walk_sees_files_links_and_empty_directories(root: int, outputs: Path) -> None:
    (outputs / "a/b/empty").mkdir(parents=True)
    (outputs / "a/f").touch()
    (outputs / "loop").symlink_to(".")
    assert sorted(found.path for found in walk(root)) == ["a/b/empty/", "a/f", "loop"]


def test_a_path_deeper_than_the_kernel_takes_at_once_is_named(root: int, outputs: Path) -> None:
    here = os.dup(root)
    for _ in range(21):
        os.mkdir("d" * 200, dir_fd=here)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    problems: list[tuple[str, str]] = []
    assert list(walk(root, problems)) == []
    assert len(problems) == 1 and "4096 bytes" in problems[0][1]


def test_a_writer_is_seen_in_whatever_process(outputs: Path) -> None:
    (outputs / "f").touch()
    fd = os.open(outputs / "f", os.O_RDONLY)
    if is_open_for_writing(fd) is None:
        pytest.skip("this file system knows no leases")
    with (outputs / "f").open("ab"):
        assert is_open_for_writing(fd) is True
    assert is_open_for_writing(fd) is False
    os.close(fd)


def test_a_link_to_a_directory_in_a_linked_directory_is_refused(root: int, outputs: Path) -> None:
    """Or a few links would make more files than there are atoms."""
    for n in range(12):
        (outputs / f"d{n}").mkdir()
        for side in "xy":
            (outputs / f"d{n}" / side).symlink_to(f"../d{n + 1}")
    (outputs / "d12").mkdir()
    (outputs / "d12/f").touch()
    found = take_inventory(root, set(), MAIN)
    assert found.files == ["d12/f"]
    assert set(found.links) == {"d11/x/f", "d11/y/f"}
    assert ("d10/x/y", "is a link to a directory in a directory that is itself linked to; copy it instead") in found.problems


@pytest.mark.parametrize(
    ("target", "word"), [("/etc/passwd", "outside"), ("../../x", "outside"), ("gone", "does not exist"), (".", "lies in")]
)
def test_links_that_lead_nowhere_good(root: int, outputs: Path, target: str, word: str) -> None:
    (outputs / "link").symlink_to(target)
    [(path, message)] = take_inventory(root, set(), MAIN).problems
    assert path == "link" and word in message


def test_a_file_written_again_and_again_waits_for_the_end() -> None:
    assert [quiet_seconds(n) for n in range(5)] == [2.0, 16.0, 128.0, 1024.0, None]
