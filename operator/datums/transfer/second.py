"""A second process, for work on many small files: however many threads a process has, its Python does one file after another.

A call is a message and some open files: nothing that names a secret, or needs one. It ends with the process that began it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

_MANY: Final = 2000
"""For fewer files, the start of a process costs more than it saves."""
_END_SECONDS: Final = 5.0
_HEAD_BYTES: Final = 8
_MOST_FILES: Final = 8
_KEPT: Final = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LANG", "LC_ALL")


class Lost(Exception):
    """The process has ended, or was never begun; what it was asked for last may be half done."""


class Second:
    """One process. Safe to use from several threads; calls wait for each other.

    Args:
        module: is run, and is to call `serve`.

    Raises:
        Lost: there may be no further process.
    """

    def __init__(self, module: str) -> None:
        import subprocess  # noqa: PLC0415  some milliseconds

        self._lock = threading.Lock()
        self._is_lost = False
        self._socket, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        argv = [sys.executable, "-m", module, str(theirs.fileno())]
        try:
            with theirs:
                self._process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        except OSError as error:
            self._socket.close()
            raise Lost(str(error)) from None

    def call(self, message: bytes, files: Sequence[int]) -> bytes:
        """What `work` of the other process returns.

        Args:
            files: descriptors, which it gets its own of.

        Raises:
            Lost
        """
        with self._lock:
            if self._is_lost:
                raise Lost("it has ended")
            try:
                _send(self._socket, message, files)
                return _receive(self._socket)[0]
            except (OSError, EOFError) as error:
                self._is_lost = True
                raise Lost(str(error)) from None
            except BaseException:
                self._is_lost = True  # or the next call would get the answer to this one
                raise

    def close(self) -> None:
        """Ends it, once it has done what it was asked for or has had the time for that."""
        if not self._lock.acquire(timeout=_END_SECONDS):
            self._process.kill()
            self._lock.acquire()
        self._is_lost = True
        self._socket.close()
        self._lock.release()
        self._process.wait()


class Turns:
    """Where a piece of work is done: by a second process if that is free, else here if nothing is done here. Threads that all work
    on small files only take turns, and each turn costs more than a file.

    Args:
        module: of the second process, which is begun by `begin`.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._second: Second | None = None
        self._beginning = threading.Lock()
        self._changed = threading.Condition()
        self._free: list[Second | None] = [None]

    def begin(self, files: int) -> None:
        """Begins the second process where it is worth it.

        Args:
            files: how many there are to work on.
        """
        if files < _MANY or len(os.sched_getaffinity(0)) < 2:
            return
        with self._beginning, suppress(Lost):
            if self._second is None:
                self._second = Second(self._module)
                self._give_back(self._second)

    def close(self) -> None:
        """Ends the second process."""
        with self._beginning:
            if self._second is not None:
                self._second.close()

    @contextmanager
    def turn(self) -> Iterator[Second | None]:
        """The second process, or None for this one; waits until there is one that does nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._free)
            place = self._free.pop()
        try:
            yield place
        finally:
            self._give_back(place)

    def _give_back(self, place: Second | None) -> None:
        with self._changed:
            self._free.insert(len(self._free) if place else 0, place)
            self._changed.notify()


def serve(work: Callable[[bytes, list[int]], bytes]) -> None:
    """The second process: works until the first one has ended.

    Args:
        work: gets the message and the files of a call; returns the answer.
    """
    # It ends when the first one does, and not before: that one may have to save something yet.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as calls, suppress(EOFError, ConnectionError):
        while True:
            message, files = _receive(calls)
            try:
                answer = work(message, files)
            finally:
                for file in files:
                    os.close(file)
            _send(calls, answer, ())


def _send(to: socket.socket, message: bytes, files: Sequence[int]) -> None:
    socket.send_fds(to, [len(message).to_bytes(_HEAD_BYTES, "big")], list(files))
    to.sendall(message)


def _receive(source: socket.socket) -> tuple[bytes, list[int]]:
    head, files, _, _ = socket.recv_fds(source, _HEAD_BYTES, _MOST_FILES)
    head += _exactly(source, _HEAD_BYTES - len(head)) if head else b""
    if not head:
        raise EOFError
    return _exactly(source, int.from_bytes(head, "big")), files


def _exactly(source: socket.socket, size: int) -> bytes:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        n = source.recv_into(view[got:])
        if not n:
            raise EOFError
        got += n
    return bytes(data)
