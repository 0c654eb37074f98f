"""What `ship` remembers from one life to the next: append-only JSON lines in the state volume, which user code cannot reach.

A line is written before the step that it announces (`Take`, `Begin`) or after the one that it records (`Done`, …). It survives the
end of the process, which is what it is for, not the end of the node, with which the outputs volume is gone as well.
"""

from __future__ import annotations

import os
import threading
from typing import TypeAlias

import msgspec

from datums.transfer.outputs import Identity


class Started(msgspec.Struct, frozen=True, tag="started"):
    """Main has started."""


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """Main has ended; seconds since the epoch."""

    at: float


class Reserved(msgspec.Struct, frozen=True, tag="reserved"):
    """The set's index lies in the store."""

    set: str


class Take(msgspec.Struct, frozen=True, tag="take"):
    """A read-only file is about to be moved to `token` in the directory of taken files."""

    path: str
    token: str


class Drop(msgspec.Struct, frozen=True, tag="drop"):
    """A `Take` that was announced but not done."""

    token: str


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The next key of this path is about to be written."""

    path: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A file lies in the store."""

    path: str
    token: str
    """Empty for a file that still lies in the outputs directory."""
    key: str
    sha256: str
    identity: Identity


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    """The commit lies in the store."""

    files: int
    bytes: int


Record: TypeAlias = Started | Ended | Reserved | Take | Drop | Begin | Done | Committed
Slot: TypeAlias = tuple[str, str]
"""(path, token): one file to save. The token is empty for the file that lies in the outputs directory at the end."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


class Journal:
    """The memory. Safe to use from several threads.

    Args:
        path: of the file; made when absent. A last line that was cut short is dropped.
    """

    def __init__(self, path: str) -> None:
        self.started = False
        self.ended: float | None = None
        self.set = ""
        self.committed: Committed | None = None
        self.takes: dict[str, list[str]] = {}
        """Path → tokens, in the order in which they were taken."""
        self.done: dict[Slot, Done] = {}
        self._keys: dict[str, int] = {}
        self._tokens = 0
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = self._replay()

    def write(self, record: Record) -> None:
        """Remembers.

        Raises:
            OSError: the state volume takes no more; nothing is remembered then.
        """
        with self._lock:
            self._write(record)

    def new_token(self, path: str) -> str:
        """Announces that the file at `path` will be taken away, and says under which name."""
        with self._lock:
            token = f"{self._tokens + 1:08d}"
            self._write(Take(path, token))
            return token

    def new_key(self, path: str) -> int:
        """Announces a write, and says which of the path's keys it goes to: 0, 1, … . None is ever given out twice."""
        with self._lock:
            number = self._keys.get(path, 0)
            self._write(Begin(path))
            return number

    def begun(self, path: str) -> int:
        """How many keys of the path were given out."""
        return self._keys.get(path, 0)

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, record: Record) -> None:
        line = _encoder.encode(record) + b"\n"
        try:
            if os.write(self._fd, line) != len(line):
                raise OSError("the state volume is full")
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)
        self._apply(record)

    def _replay(self) -> int:
        size = 0
        with os.fdopen(os.dup(self._fd), "rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._apply(_decoder.decode(line))
                size += len(line)
        os.ftruncate(self._fd, size)
        return size

    def _apply(self, record: Record) -> None:
        match record:
            case Started():
                self.started = True
            case Ended(at):
                self.ended = at
            case Reserved(set_hex):
                self.set = set_hex
            case Take(path, token):
                self.takes.setdefault(path, []).append(token)
                self._tokens = max(self._tokens, int(token))
            case Drop(token):
                kept = ((path, [t for t in tokens if t != token]) for path, tokens in self.takes.items())
                self.takes = {path: tokens for path, tokens in kept if tokens}
            case Begin(path):
                self._keys[path] = self._keys.get(path, 0) + 1
            case Done(path, token):
                self.done[path, token] = record
            case Committed():
                self.committed = record
