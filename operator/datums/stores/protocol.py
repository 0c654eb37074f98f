"""What a driver does for the rest of Datums: bytes by key, in one bucket. Calls block and may come from many threads at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol


class ObjectInfo(NamedTuple):
    """An object as the service describes it."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """Opaque, with its quotes; empty where the service has none."""
    last_modified: float
    """Seconds since the epoch."""
    version: str = ""
    """Of this version, where the bucket keeps versions and the call tells it (`head`)."""


class Readable(Protocol):
    """The part of a binary file that an upload needs."""

    def read(self, size: int, /) -> bytes: ...


class Store(Protocol):
    """One bucket. Keys are verbatim: nothing is encoded, decoded or normalised on the way.

    Every method raises `datums.stores.errors.StoreError`. Drivers retry for some seconds only: callers that must not give up try
    again while the error is `retryable`.
    """

    @property
    def name(self) -> str:
        """`<namespace>/<name>` of the DataStore."""

    @property
    def prefix(self) -> str:
        """Where Datums writes in the bucket; without a slash at its end."""

    @property
    def conditional_put(self) -> bool:
        """Whether the service itself refuses to write a key that is taken, as far as is known."""

    def uri(self, key: str) -> str:
        """The object as a link of its provider, such as `s3://bucket/key`. Never holds a secret."""

    def head(self, key: str) -> ObjectInfo:
        """What the service says of an object."""

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        """A small object, whole.

        Args:
            limit: the most bytes that are taken; a larger object is `Corrupt`.
        """

    def stream(self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "") -> Iterator[bytes]:
        """The bytes from `offset` on, in chunks of no certain size. An answer that ends too early is `Unavailable`.

        Args:
            length: how many bytes; None up to the end.
            etag: where not empty, any other version of the object is `Changed`.
        """

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        """Writes a small object in one request.

        Args:
            if_absent: the key must be free, else `AlreadyExists`. Where the service has no conditional writes, the driver looks
                first and then writes: two writers in the same moment can both succeed.
        """

    def put_file(
        self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
    ) -> None:
        """Writes an object of any size, in parts where it is large; memory stays bounded. It appears whole or not at all.

        Args:
            file: read once from where it stands, in order. Its own exceptions pass through.
            size: exactly how many bytes are read from it; a file that ends earlier is `Changed`.
            on_progress: called with the number of bytes just read, in the thread that reads.
            in_parts: in parts even where it is small.
        """

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose keys begin with `prefix` (which is no directory), in the service's order."""

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
