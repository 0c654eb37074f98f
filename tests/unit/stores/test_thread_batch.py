"""A thread for each of many small requests: what ends comes back with its tag, and what hangs is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest

from datums.stores import errors, thread_batch
from datums.stores.protocol import Store
from datums.stores.thread_batch import ThreadBatch


class Memory:
    """Keeps objects in memory; `hung` hangs until it is set free, and `odd` is one that nobody thought of."""

    name = "a/b"

    def __init__(self) -> None:
        self.objects = {"a": b"of a", "b": b"of b", "hung": b"too late"}
        self.free = threading.Event()
        self.threads: set[threading.Thread] = set()
        self.pins: list[tuple[str, str]] = []

    def uri(self, key: str) -> str:
        return f"mem://{key}"

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> bytes:
        self.threads.add(threading.current_thread())
        self.pins.append((etag, version))
        if key == "hung":
            self.free.wait(10)
        if key == "odd":
            raise ValueError(key)
        if key not in self.objects:
            raise errors.NotFound(key, key=key)
        return self.objects[key][offset : offset + length]

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data


@pytest.fixture
def store() -> Iterator[Memory]:
    store = Memory()
    yield store
    store.free.set()


def batch_of(store: Memory, at_once: int) -> ThreadBatch[Any]:
    return ThreadBatch(cast("Store", store), at_once)


def everything(batch: ThreadBatch[Any]) -> dict[Any, Any]:
    """What comes of all that is on its way."""
    ended: dict[Any, Any] = {}
    while len(batch):
        ended.update(batch.take(5.0))
    return ended


def test_each_answer_has_the_tag_of_its_request(store: Memory) -> None:
    batch = batch_of(store, 3)
    for number in range(40):
        batch.read(number, "ab"[number % 2], 3, 1, etag="e", version="v")
    batch.put("put", "c", b"of c")
    assert len(batch) == 41
    assert everything(batch) == {number: b"ab"[number % 2 :][:1] for number in range(40)} | {"put": b""}
    assert store.objects["c"] == b"of c"
    assert set(store.pins) == {("e", "v")}
    assert 1 <= len(store.threads) <= 3


def test_no_more_threads_than_there_is_to_do(store: Memory) -> None:
    batch = batch_of(store, 30)
    for _ in range(20):
        batch.read("x", "a", 0, 4)
        assert everything(batch) == {"x": b"of a"}
    assert len(store.threads) == 1


def test_what_fails_fails_alone(store: Memory) -> None:
    batch = batch_of(store, 3)
    for key in ("a", "nothing", "b"):
        batch.read(key, key, 0, 4)
    ended = everything(batch)
    assert isinstance(ended.pop("nothing"), errors.NotFound)
    assert ended == {"a": b"of a", "b": b"of b"}


def test_an_exception_that_is_no_answer_passes_through(store: Memory) -> None:
    batch = batch_of(store, 1)
    batch.read("x", "odd", 0, 1)
    with pytest.raises(ValueError, match="odd"):
        list(batch.take(5.0))
    batch.read("y", "a", 0, 4)
    assert everything(batch) == {"y": b"of a"}


def test_what_hangs_is_given_up_and_its_thread_replaced(store: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_batch, "CALL_SECONDS", 0.1)
    batch = batch_of(store, 1)
    batch.read("x", "hung", 0, 8)
    assert list(batch.take(0.0)) == []
    ((tag, error),) = batch.take(0.3)
    assert (tag, type(error)) == ("x", errors.Unavailable)
    assert "mem://hung did not answer" in str(error)
    assert isinstance(error, errors.StoreError)
    assert (error.store, error.key, error.retryable) == ("a/b", "hung", True)
    assert len(batch) == 0
    monkeypatch.setattr(thread_batch, "CALL_SECONDS", 10.0)
    batch.read("y", "a", 0, 4)
    assert everything(batch) == {"y": b"of a"}
    assert len(store.threads) == 2
    # What comes too late is nobody's answer.
    batch.read("z", "hung", 0, 8)
    store.free.set()
    assert everything(batch) == {"z": b"too late"}
    assert list(batch.take(60.0)) == []


def test_it_waits_no_longer_than_it_may(store: Memory) -> None:
    batch = batch_of(store, 1)
    began = time.monotonic()
    assert list(batch.take(60.0)) == []  # nothing is on its way
    batch.read("x", "hung", 0, 8)
    assert list(batch.take(0.1)) == []
    assert 0.1 <= time.monotonic() - began < 5
    assert len(batch) == 1


def test_what_is_closed_has_no_threads_and_no_answers(store: Memory) -> None:
    batch = batch_of(store, 3)
    for key in ("a", "hung", "b"):
        batch.read(key, key, 0, 8)
    assert dict(batch.take(5.0))
    batch.close()
    store.free.set()
    assert len(batch) == 0
    assert list(batch.take(60.0)) == []
    for thread in store.threads:
        thread.join(5)
        assert not thread.is_alive()
