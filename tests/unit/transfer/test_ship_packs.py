from __future__ import annotations

import hashlib
import io
import itertools
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from datums.transfer import packs, tarball
from datums.transfer.packs import Candidate
from datums.transfer.places import Places

NAMES = [
    "a",
    "d/" + "x" * 99,
    "p" * 120 + "/" + "q" * 90,  # ustar splits it
    "p" * 160 + "/" + "q" * 90,  # too long for that
    "ünï/日本語.csv",
    "x" * 255,
    "é" * 120,
    "/".join(["d" * 99] * 12),
    "-rf",
    "new\nline",
    "back\\slash",
    " space ",
    "a=b",
    "9" * 101,
]


def tar_of(names: list[str]) -> bytes:
    made = b""
    for n, name in enumerate(names):
        data = name.encode() * 3
        made += tarball.header(name, len(data), 0o640, 1.7e9 + n) + data.ljust(tarball.padded(len(data)), b"\0")
    return made + tarball.END


def test_python_reads_every_name() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of(NAMES))) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == NAMES
        for n, member in enumerate(members):
            stream = tar.extractfile(member)
            assert stream is not None and stream.read() == member.name.encode() * 3
            assert (member.mode, member.mtime, member.isreg()) == (0o640, 1.7e9 + n, True)


def test_tar_extracts_every_name(tmp_path: Path) -> None:
    subprocess.run(["tar", "-xf", "-", "-C", tmp_path], input=tar_of(NAMES), check=True)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == name.encode() * 3
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("length", [*range(95, 105), *range(480, 520), *range(985, 1000), 4000])
def test_names_of_every_length(length: int) -> None:
    name = ("d" * 99 + "/") * (length // 100) + "f" * (length % 100 or 1)
    with tarfile.open(fileobj=io.BytesIO(tar_of([name, "next"]))) as tar:
        assert [member.name for member in tar.getmembers()] == [name.rstrip("/"), "next"]
    assert len(tarball.header(name, 0, 0o644, 0)) <= tarball.overhead(name)


@pytest.mark.parametrize(("mtime", "kept"), [(-5.0, 0), (1e12, 8**11 - 1), (1.9, 1)])
def test_times_that_tar_cannot_hold(mtime: float, kept: int) -> None:
    data = tarball.header("a", 0, 0o644, mtime) + tarball.END
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmembers()[0].mtime == kept


def small(n: int, size: int = 100, age: float = 0.0, token: int = 0) -> list[Candidate]:
    return [Candidate((f"f{i:06d}", token), size, age) for i in range(n)]


def test_packs_are_of_bounded_size_and_number() -> None:
    of_ten_kib = list(packs.grouped(small(20_000, 10 << 10)))
    assert list(itertools.chain(*of_ten_kib)) == [file.slot for file in small(20_000)]
    assert {len(pack) * ((10 << 10) + 512) + 1024 <= packs.PACK_BYTES for pack in of_ten_kib} == {True}
    assert len(of_ten_kib) == 13
    assert [len(pack) for pack in packs.grouped(small(20_000, 0))] == [8192, 8192, 3616]
    assert [len(pack) for pack in packs.grouped(small(20, 1 << 20))] == [15, 5]
    assert list(packs.grouped([])) == []


@pytest.mark.parametrize(
    ("ready", "in_packs", "singly"),
    [
        (small(64), 64, 0),
        (small(63), 0, 0),
        (small(63, age=9.9), 0, 0),
        (small(3, age=10.0), 0, 3),
        (small(2, age=10.0) + small(3, age=1.0), 0, 2),
        (small(3, age=1.0, token=7), 0, 3),
        (small(100, token=7), 100, 0),
    ],
)
def test_while_main_runs_small_files_wait_for_company(ready: list[Candidate], in_packs: int, singly: int) -> None:
    packed, alone = packs.split(ready)
    assert (sum(map(len, packed)), len(alone)) == (in_packs, singly)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "volume").mkdir()
    return Places.open(tmp_path / "volume")


def test_a_pack_holds_what_can_be_read_and_leaves_out_the_rest(tmp_path: Path, places: Places) -> None:
    root = tmp_path / "volume/files"
    (root / "d").mkdir()
    contents = {"a": b"", "d/b": b"x" * 512, "d/c": b"y" * 700}
    for path, data in contents.items():
        (root / path).write_bytes(data)
    (tmp_path / "volume/taken/00000005").write_bytes(b"taken")
    (root / "link").symlink_to("a")
    os.mkfifo(root / "pipe")
    (root / "huge").write_bytes(bytes(9000))
    memory = memoryview(bytearray(b"\xff" * 8192))
    slots = [(path, 0) for path in ["a", "d/b", "d/c", "gone", "huge", "link", "none/f", "pipe"]] + [("d/c", 5)]
    packed = packs.build(memory, 3, slots, places, final=True)
    assert packed.left_out == [("gone", 0), ("huge", 0), ("link", 0), ("none/f", 0), ("pipe", 0)]
    assert [(done.slot, done.number) for done in packed.done] == [((path, 0), 3) for path in contents] + [(("d/c", 5), 3)]
    data = bytes(memory[: packed.size])
    for done, expected in zip(packed.done, [*contents.values(), b"taken"], strict=True):
        assert data[done.offset : done.offset + done.identity.size] == expected
        assert done.sha256 == hashlib.sha256(expected).hexdigest() and done.offset > 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == [*contents, "d/c"]
    assert packed.size % 512 == 0 and data.endswith(tarball.END)


def test_while_main_runs_a_file_that_is_being_written_is_left_out(tmp_path: Path, places: Places) -> None:
    root = tmp_path / "volume/files"
    for name in ("open", "closed"):
        (root / name).write_bytes(b"1")
    with (root / "open").open("ab"):
        packed = packs.build(memoryview(bytearray(8192)), 0, [("closed", 0), ("open", 0)], places, final=False)
    if len(packed.done) == 2:
        pytest.skip("this file system knows no leases")
    assert packed.left_out == [("open", 0)]


def test_nothing_to_pack_is_no_pack(places: Places) -> None:
    assert packs.build(memoryview(bytearray(8192)), 0, [("gone", 0)], places, final=True).size == 0
