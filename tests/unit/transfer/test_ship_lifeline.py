from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.transfer.lifeline import Lifeline, Main, StopLine, read_word


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.fixture
def lifeline(fifo: Path) -> Iterator[Lifeline]:
    opened = Lifeline(str(fifo))
    yield opened
    opened.close()


def watch(lifeline: Lifeline, tmp_path: Path, *, started: bool = False) -> tuple[Main, list[str]]:
    calls: list[str] = []
    return Main(lifeline, str(tmp_path / "word"), started=started, on_start=lambda: calls.append("started")), calls


def test_started_is_remembered_once_and_the_end_is_seen_at_once(fifo: Path, lifeline: Lifeline, tmp_path: Path) -> None:
    main, calls = watch(lifeline, tmp_path)
    assert not main.ended(0) and not main.started
    writer = os.open(fifo, os.O_RDWR)
    os.write(writer, b"started\n")
    assert not main.ended(0)
    os.write(writer, b"started\n")
    assert not main.ended(0) and calls == ["started"]
    began = time.monotonic()
    assert not main.ended(0.05)
    assert time.monotonic() - began >= 0.04, "it waits while main is silent"
    os.close(writer)
    assert main.ended(10)


def test_nobody_there_is_no_end_unless_main_was_seen(lifeline: Lifeline, tmp_path: Path) -> None:
    assert not watch(lifeline, tmp_path)[0].ended(0)
    assert watch(lifeline, tmp_path, started=True)[0].ended(0)


def test_the_operators_word_is_enough(lifeline: Lifeline, tmp_path: Path) -> None:
    main, _ = watch(lifeline, tmp_path)
    (tmp_path / "word").write_text("")
    assert not main.ended(0)
    (tmp_path / "word").write_text("137")
    assert main.ended(0)


def test_a_writer_that_came_and_went_without_a_word_costs_no_busy_loop(fifo: Path, lifeline: Lifeline, tmp_path: Path) -> None:
    os.close(os.open(fifo, os.O_RDWR))
    main, _ = watch(lifeline, tmp_path)
    began, turns = time.monotonic(), 0
    while time.monotonic() - began < 0.2:
        assert not main.ended(0.2)
        turns += 1
    assert turns <= 12


@pytest.mark.parametrize(("word", "line"), [("30", b"30\n"), (" 5\n", b"5\n"), ("soon; rm -rf /", b"0\n")])
def test_stop_is_passed_on_once_a_watcher_listens(fifo: Path, tmp_path: Path, word: str, line: bytes) -> None:
    stop = StopLine(str(tmp_path / "stop"), str(fifo))
    assert not stop.pass_on(), "no request"
    (tmp_path / "stop").write_text(word)
    assert not stop.pass_on(), "no watcher yet"
    watcher = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert stop.pass_on() and not stop.pass_on()
    assert os.read(watcher, 99) == line
    os.close(watcher)


def test_a_word_that_was_never_said_is_empty(tmp_path: Path) -> None:
    assert read_word(str(tmp_path / "none")) == ""
