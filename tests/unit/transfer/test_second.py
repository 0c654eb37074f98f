"""Work in a second process: it is the same work, and what becomes of the process is nobody's trouble."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from datums.stores.sink_memory import MemoryFile
from datums.transfer import packs, second, unpack
from datums.transfer.packing import Packing
from datums.transfer.places import Places
from datums.transfer.second import Lost, Second, Turns
from datums.transfer.unpack import Order, Packed, Unpacked

FILES = 3000


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places.open(tmp_path)
    yield places
    os.close(places.files)
    os.close(places.taken)


def outputs(places: Places, count: int) -> list[tuple[str, int]]:
    for n in range(count):
        file = os.open(f"{n:04} é", os.O_WRONLY | os.O_CREAT, dir_fd=places.files)
        os.write(file, b"%d " % n * n)
        os.close(file)
    return [(f"{n:04} é", 0) for n in range(count)]


def the_second(turns: Turns) -> Second:
    assert turns._second is not None
    return turns._second


def test_a_pack_of_the_second_process_is_the_pack(places: Places) -> None:
    slots = [*outputs(places, 200), ("gone", 0)]
    here, there = (bytearray(packs.PACK_BYTES) for _ in range(2))
    expected = packs.build(memoryview(here), 7, slots, places, final=True)
    packing = Packing(places)
    packing.expect(FILES)
    with packing._turns.turn() as place:
        assert place is the_second(packing._turns)
        packed = packing._elsewhere(place, memoryview(there), 7, slots, final=True)
    assert packed == expected
    assert len(packed.done) == 200
    assert there == here
    packing.close()


def test_where_the_second_process_ends_the_first_goes_on(places: Places) -> None:
    slots = outputs(places, 20)
    memory = memoryview(bytearray(packs.PACK_BYTES))
    expected = packs.build(memory, 7, slots, places, final=True)
    packing = Packing(places)
    packing.expect(FILES)
    process = the_second(packing._turns)._process
    assert packing.build(memory, 7, slots, final=True) == expected
    process.kill()
    for _ in range(3):
        assert packing.build(memory, 7, slots, final=True) == expected
    packing.close()
    assert process.returncode == -signal.SIGKILL


def test_for_few_files_there_is_none(places: Places) -> None:
    packing = Packing(places)
    packing.expect(100)
    assert packing._turns._second is None
    packing.close()


def test_where_there_may_be_no_further_process_there_is_none(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", fail)
    files = len(list(Path("/proc/self/fd").iterdir()))
    packing = Packing(places)
    packing.expect(FILES)
    assert packing._turns._second is None
    assert packing.build(memoryview(bytearray(packs.PACK_BYTES)), 7, outputs(places, 3), final=True).done
    assert len(list(Path("/proc/self/fd").iterdir())) == files


def test_it_ends_with_the_first_and_not_by_a_signal(places: Places) -> None:
    packing = Packing(places)
    packing.expect(FILES)
    packing.build(memoryview(bytearray(packs.PACK_BYTES)), 7, outputs(places, 3), final=True)
    process = the_second(packing._turns)._process
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGIO):
        process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    packing.close()
    assert process.returncode == 0


def test_both_work_at_once_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns("datums.transfer.unpack")
    turns.begin(FILES)
    at_once, most, places = 0, 0, set[Any]()
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with turns.turn() as place:
            with lock:
                at_once += 1
                most = max(most, at_once)
                places.add(place)
            time.sleep(0.01)
            with lock:
                at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, places) == (2, {None, turns._second})
    turns.close()


def order(root: Path, *contents: bytes) -> tuple[Order, bytes]:
    packed, data = [], b""
    for n, content in enumerate(contents):
        data += b"header"
        packed.append(Packed(len(data), len(content), hashlib.sha256(content).hexdigest(), str(root / str(n))))
        data += content
    (root / "partial").mkdir()
    return Order(str(root / "partial"), packed), data


def test_what_is_unpacked_is_verified_and_whole(tmp_path: Path) -> None:
    made, data = order(tmp_path, b"zero", b"one", b"two" * 10_000)
    made.files[1] = made.files[1]._replace(sha256="0" * 64)
    assert unpack.unpack(made, memoryview(data)) == Unpacked(damaged=[1])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == {"0": b"zero", "2": b"two" * 10_000}
    assert (tmp_path / "0").stat().st_mode & 0o777 == 0o444
    assert list((tmp_path / "partial").iterdir()) == []


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    made, data = order(tmp_path, b"zero", b"one", b"two")
    (tmp_path / "1").mkdir()
    unpacked = unpack.unpack(made, memoryview(data))
    assert (unpacked.failed, os.strerror(unpacked.errno)) == (1, "Is a directory")
    assert not (tmp_path / "2").exists()
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_message_of_any_size_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a socket holds."""
    monkeypatch.setattr(second, "sys", SimpleNamespace(argv=["", ""]))
    ours, theirs = second.socket.socketpair()
    second.sys.argv[1] = str(theirs.detach())
    seen: list[int] = []

    def work(message: bytes, files: list[int]) -> bytes:
        seen.extend(os.lseek(file, 0, os.SEEK_END) for file in files)
        return message[::-1]

    serving = threading.Thread(target=second.serve, args=(work,))
    monkeypatch.setattr(second.signal, "signal", lambda *_: None)  # not in this thread
    serving.start()
    message = os.urandom(3 << 20)
    with ours, MemoryFile() as one, MemoryFile() as other:
        one.sink.write(b"abc")
        second._send(ours, message, [one.file, other.file])
        assert second._receive(ours) == (message[::-1], [])
    serving.join()
    assert seen == [3, 0]


def test_a_lost_process_is_lost_for_good() -> None:
    lost = Second("datums.transfer.unpack")
    lost._process.kill()
    for _ in range(2):
        with pytest.raises(Lost):
            lost.call(b"", ())
    lost.close()


def test_one_that_is_stuck_holds_nobody_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second, "_END_SECONDS", 0.2)
    stuck = Second("datums.transfer.unpack")
    stuck._process.send_signal(signal.SIGSTOP)
    failed: list[BaseException] = []

    def call() -> None:
        try:
            stuck.call(b"", ())
        except Lost as error:
            failed.append(error)

    calling = threading.Thread(target=call)
    calling.start()
    while not stuck._lock.locked():
        time.sleep(0.01)
    stuck.close()
    calling.join(5)
    assert len(failed) == 1
    assert stuck._process.returncode == -signal.SIGKILL


def test_an_answer_is_to_the_call_and_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise MemoryError

    confused = Second("datums.transfer.unpack")
    with monkeypatch.context() as patch:
        patch.setattr(second, "_receive", fail)
        with pytest.raises(MemoryError):
            confused.call(b"", ())
    with pytest.raises(Lost):
        confused.call(b"", ())
    confused._process.kill()
    confused.close()


def test_two_of_them_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    """As where two stores have packs: both write in one directory."""
    (tmp_path / "partial").mkdir()
    data = os.urandom(1000)
    digest = hashlib.sha256(data).hexdigest()
    answers: list[bytes] = []

    def work(name: str) -> None:
        process = Second("datums.transfer.unpack")
        with MemoryFile() as memory:
            memory.sink.write(data)
            (tmp_path / name).mkdir()
            files = [Packed(0, len(data), digest, str(tmp_path / name / str(n))) for n in range(2000)]
            order = msgspec.msgpack.encode(Order(str(tmp_path / "partial"), files))
            answers.extend(process.call(order, [memory.file]) for _ in range(2))
        process.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [msgspec.msgpack.decode(answer, type=Unpacked) for answer in answers] == [Unpacked([])] * 4
    assert all((tmp_path / name / str(n)).read_bytes() == data for name in "ab" for n in range(2000))
