"""The threads that work off what is handed to them, where there may be none."""

from __future__ import annotations

import threading

import pytest

from datums.transfer.crew import Crew


def test_each_item_is_done_once_by_threads_of_its_own() -> None:
    done: list[tuple[int, int]] = []
    ended = threading.Semaphore(0)

    def work(item: int) -> None:
        done.append((item, threading.get_ident()))
        ended.release()

    crew: Crew[int] = Crew("test", 3, work)
    for item in range(20):
        crew.hand(item)
    for _ in range(20):
        assert ended.acquire(timeout=10)
    assert sorted(item for item, _ in done) == list(range(20))
    assert threading.get_ident() not in {thread for _, thread in done}


def test_where_no_thread_can_be_started_the_caller_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    done: list[tuple[str, int]] = []
    crew: Crew[str] = Crew("test", 3, lambda item: done.append((item, threading.get_ident())))
    crew.hand("a")
    crew.hand("b")
    assert done == [("a", threading.get_ident()), ("b", threading.get_ident())]
    assert crew.waiting == 0
