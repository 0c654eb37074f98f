from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.transfer.database import Kind
from datums.transfer.inventory import large_files, small_files, take_inventory, touched_files
from datums.transfer.journal import Done, Journal
from datums.transfer.live import quiet_seconds
from datums.transfer.outputs import Directories, Gone, Identity, NoDescriptors, is_open_for_writing, opened, walk

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


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(str(tmp_path / "journal"))
    yield journal
    journal.close()


def problems(journal: Journal) -> list[tuple[str, str]]:
    return list(journal.database.rows("SELECT path, message FROM remarks WHERE problem = 1"))


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


def test_a_link_to_a_directory_in_a_linked_directory_is_refused(root: int, outputs: Path, journal: Journal) -> None:
    """Or a few links would make more files than there are atoms."""
    for n in range(12):
        (outputs / f"d{n}").mkdir()
        for side in "xy":
            (outputs / f"d{n}" / side).symlink_to(f"../d{n + 1}")
    (outputs / "d12").mkdir()
    (outputs / "d12/f").touch()
    assert take_inventory(journal, root, MAIN) == (1, 0)
    rows = journal.database.rows("SELECT path, kind, target FROM found WHERE kind IN (?, ?)", (Kind.FILE, Kind.BEHIND))
    assert list(rows) == [("d11/x/f", Kind.BEHIND, "d12/f"), ("d11/y/f", Kind.BEHIND, "d12/f"), ("d12/f", Kind.FILE, None)]
    assert ("d10/x/y", "is a link to a directory in a directory that is itself linked to; copy it instead") in problems(journal)


@pytest.mark.parametrize(
    ("target", "word"), [("/etc/passwd", "outside"), ("../../x", "outside"), ("gone", "does not exist"), (".", "lies in")]
)
def test_links_that_lead_nowhere_good(root: int, outputs: Path, journal: Journal, target: str, word: str) -> None:
    (outputs / "link").symlink_to(target)
    take_inventory(journal, root, MAIN)
    [(path, message)] = problems(journal)
    assert path == "link" and word in message


def test_a_file_written_again_and_again_waits_for_the_end() -> None:
    assert [quiet_seconds(n) for n in range(5)] == [2.0, 16.0, 128.0, 1024.0, None]


def test_what_is_left_to_do(root: int, outputs: Path, journal: Journal) -> None:
    """A file that is saved as it is needs nothing; one that was only touched is looked at by itself; a large one goes singly."""
    for name in ("saved", "touched", "changed", "new"):
        (outputs / name).write_text(name)
    os.truncate(outputs / "new", 0)
    (outputs / "large").touch()
    os.truncate(outputs / "large", (1 << 20) + 1)
    for name in ("saved", "touched", "changed"):
        identity = Identity.of((outputs / name).stat())
        change = {"saved": {}, "touched": {"ctime_ns": 1}, "changed": {"mtime_ns": 1}}[name]
        journal.note_done([Done(name, 0, 0, 0, "00" * 32, identity._replace(**change))])
    assert take_inventory(journal, root, MAIN)[0] == 5
    assert list(touched_files(journal)) == [("touched", 0)]
    assert list(large_files(journal, pack=True)) == [("large", 0)]
    assert [file.slot for file in small_files(journal)] == [("changed", 0), ("new", 0)]
    assert list(large_files(journal, pack=False)) == [(name, 0) for name in ("changed", "large", "new")]


def test_directories_are_opened_once_for_files_in_order(root: int, outputs: Path) -> None:
    for path in ("a/1", "a/2", "b/c/1"):
        (outputs / path).parent.mkdir(parents=True, exist_ok=True)
        (outputs / path).write_text(path)
    (outputs / "link").symlink_to("a")
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with Directories(root) as directories:
        for path in ("a/1", "a/2", "b/c/1", "a/1"):
            fd = directories.open_file(path)
            assert os.read(fd, 9).decode() == path
            os.close(fd)
        for path in ("link/1", "none/1", "link"):
            with pytest.raises(OSError):
                directories.open_file(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_too_few_file_descriptors_are_told_with_their_number(root: int, outputs: Path) -> None:
    (outputs / "f").touch()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = os.dup(root)
    os.close(most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    try:
        with pytest.raises(NoDescriptors, match=f"at most {most} at once"), opened(root, "f"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    with opened(root, "f"):
        pass
