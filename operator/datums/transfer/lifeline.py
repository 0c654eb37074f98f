"""What tells `ship` about main: the lifeline, which main's PID 1 holds open, and the operator's word; how it tells main to stop.

Imports next to nothing: the lifeline must be open for reading before a short main is over, or what main wrote into it is lost.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable

_NOT_STARTED_SECONDS = 0.02


class Lifeline:
    """The reading end of the FIFO that main's PID 1 holds open from its start to its end."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def fileno(self) -> int:
        return self._fd

    def wait(self, seconds: float) -> None:
        """Returns when there is something to read, when the last writer has gone, or after `seconds`."""
        self._poll.poll(seconds * 1000)

    def read(self) -> bytes | None:
        """Data; `b""` while nobody has it open for writing; None while a silent writer lives."""
        try:
            return os.read(self._fd, 4096)
        except BlockingIOError:
            return None

    def close(self) -> None:
        os.close(self._fd)


class Main:
    """Whether main has ended, by the lifeline or (the second key) by the operator's word.

    Args:
        lifeline: open since the process began.
        word: the file in which the operator says that main has ended; empty or absent until then.
        started: whether an earlier run of `ship` saw main start.
        on_start: called once when main is seen to have started, to remember it: it can be read once.
    """

    def __init__(self, lifeline: Lifeline, word: str, *, started: bool, on_start: Callable[[], None]) -> None:
        self._lifeline = lifeline
        self._word = word
        self.started = started
        self._on_start = on_start

    def ended(self, seconds: float) -> bool:
        """Waits at most `seconds` (less when something happens) and says whether main has ended."""
        data = self._lifeline.read()
        if data:
            if not self.started:
                self.started = True
                self._on_start()
            return False
        if (data == b"" and self.started) or read_word(self._word):
            return True
        if data is None:
            self._lifeline.wait(seconds)
        else:
            # Nobody has it open: `poll` would either say nothing or, after a writer that said nothing, return at once for ever.
            time.sleep(min(seconds, _NOT_STARTED_SECONDS))
        return False


class StopLine:
    """Passes the operator's request to stop on to the watcher in main's container.

    Args:
        word: the file with the grace period in seconds; empty or absent until main shall stop.
        fifo: what the watcher waits on.
    """

    def __init__(self, word: str, fifo: str) -> None:
        self._word = word
        self._fifo = fifo
        self.passed_on = False

    def pass_on(self) -> bool:
        """Whether the request was passed on by this call. A watcher that does not listen yet is tried again by the next call."""
        if self.passed_on or not (grace := read_word(self._word)):
            return False
        seconds = grace if grace.isdecimal() else "0"
        try:
            fd = os.open(self._fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return False
            raise
        try:
            os.write(fd, f"{seconds}\n".encode())
        finally:
            os.close(fd)
        self.passed_on = True
        return True


def read_word(path: str) -> str:
    """The content of a file of the downward API, stripped; empty while the annotation is absent."""
    try:
        with open(path, encoding="utf-8") as stream:  # noqa: PTH123  pathlib costs an import here
            return stream.read(4096).strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
