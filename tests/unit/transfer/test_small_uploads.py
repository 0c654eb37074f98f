"""The thread that uploads small files: whatever comes of a file, somebody hears of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from datums.stores.errors import StoreError
from datums.transfer import small_uploads
from datums.transfer.journal import Done
from datums.transfer.outputs import Identity, NoDescriptors, Refused, Unreadable
from datums.transfer.pace import Pace
from datums.transfer.patient import PatientStore
from datums.transfer.single import Outcome, Sending, Singles, Task
from datums.transfer.small_uploads import SmallUploads
from datums.transfer.trips import Trips

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.protocol import Batch, Store

IDENTITY = Identity(1, 2, 3, 4, 5)


class Memory:
    """A store whose batch ends everything at the next `take`."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self._flying: list[tuple[Any, str]] = []

    def batch(self, at_once: int) -> Memory:
        return self

    def trips(self, send: Callable[[Batch[Any], Any], None]) -> Trips[Any]:
        return Trips(cast("Callable[[], Store]", lambda: self), 4, Pace(4), send, lambda trip, error: None)

    def __len__(self) -> int:
        return len(self._flying)

    def put(self, tag: Any, key: str, data: Buffer) -> None:
        self._flying.append((tag, key))

    def take(self, seconds: float) -> Iterator[tuple[Any, Buffer | StoreError]]:
        ended, self._flying = self._flying, []
        for tag, key in ended:
            self.written.append(key)
            yield tag, b""


class Files:
    """What stands for `Singles`: `open_files` is what may be open at once."""

    tries = 3

    def __init__(self, path: Path, *, changes: bool = False, open_files: int = 100) -> None:
        path.write_bytes(b"")
        self._path = path
        self._changes = changes
        self._left = open_files
        self.begun = 0

    def begin(self, task: Task) -> Outcome | Sending | None:
        self.begun += 1
        if self._changes:
            return None
        if not self._left:
            raise NoDescriptors("too many open files")
        self._left -= 1
        done = Done(task.slot[0], 0, 0, 0, "", IDENTITY)
        return Sending(f"key-{task.slot[0]}", b"", done, os.open(self._path, os.O_RDONLY))

    def sent(self, sending: Sending) -> Outcome:
        self._left += 1
        return Outcome(sending.done)

    def given_up(self, tries: int) -> Outcome:
        raise Refused(f"changed {tries} times")


class Settled:
    """What the thread tells."""

    def __init__(self, expected: int) -> None:
        self.of: dict[str, Outcome | BaseException] = {}
        self.failure: BaseException | None = None
        self._expected = expected
        self._all = threading.Event()

    def settle(self, task: Task, outcome: Outcome | BaseException) -> None:
        self.of[task.slot[0]] = outcome
        if len(self.of) == self._expected:
            self._all.set()

    def fail(self, error: BaseException) -> None:
        self.failure = error
        self._all.set()

    def wait(self) -> None:
        assert self._all.wait(10), self.of


def no_more_threads(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def upload(files: Files, names: list[str], begin: Callable[[Task], Any] | None = None) -> tuple[Settled, Memory]:
    settled, store = Settled(len(names)), Memory()
    some = SmallUploads(
        cast(PatientStore, store), cast(Singles, files), begin or files.begin, lambda task: None, settled.settle, settled.fail
    )
    for name in names:
        some.hand(Task((name, 0)))
    settled.wait()
    return settled, store


def test_each_is_sent_and_settled(tmp_path: Path) -> None:
    names = [f"{n}" for n in range(50)]
    settled, store = upload(Files(tmp_path / "file"), names)
    assert sorted(settled.of) == sorted(names)
    assert sorted(store.written) == sorted(f"key-{name}" for name in names)


def test_what_changes_each_time_is_refused(tmp_path: Path) -> None:
    files = Files(tmp_path / "file", changes=True)
    settled, store = upload(files, ["a", "b"])
    assert {name: str(outcome) for name, outcome in settled.of.items()} == {"a": "changed 3 times", "b": "changed 3 times"}
    assert (files.begun, store.written) == (6, [])


def test_few_descriptors_are_waited_for(tmp_path: Path) -> None:
    files = Files(tmp_path / "file", open_files=2)
    settled, _ = upload(files, [f"{n}" for n in range(9)])
    assert all(isinstance(outcome, Outcome) for outcome in settled.of.values())
    assert files.begun < 40


@pytest.mark.parametrize(("failures", "comes"), [(2, True), (3, False)])
def test_what_cannot_be_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, comes: bool) -> None:
    monkeypatch.setattr(small_uploads, "_UNREADABLE_SECONDS", 0.01)
    files = Files(tmp_path / "file")
    left = failures

    def begin(task: Task) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise Unreadable("cannot be read: Input/output error")
        return files.begin(task)

    settled, _ = upload(files, ["a"], begin)
    assert isinstance(settled.of["a"], Outcome if comes else Unreadable)


def test_where_no_thread_can_be_started_it_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, settled = Files(tmp_path / "file"), Settled(2)
    some = SmallUploads(
        cast(PatientStore, Memory()), cast(Singles, files), files.begin, lambda task: None, settled.settle, settled.fail
    )
    with monkeypatch.context() as nothing_starts:
        nothing_starts.setattr(threading.Thread, "start", no_more_threads)
        some.hand(Task(("a", 0)))
        some.hand(Task(("b", 0)))
    assert (some.waiting, settled.of) == (2, {})
    some.start()
    settled.wait()


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError()])
def test_what_nobody_thought_of_is_told(tmp_path: Path, error: BaseException) -> None:
    files = Files(tmp_path / "file")

    def fails(sending: Sending) -> Outcome:
        raise error

    files.sent = fails  # type: ignore[method-assign]
    settled, _ = upload(files, ["a"])
    assert settled.failure is error
