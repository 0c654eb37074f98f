"""What a driver does for the rest of Datums: bytes by key, in one bucket. Calls block and may come from many threads at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from datums.stores.errors import StoreError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.sink import Sink

T = TypeVar("T")


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
    """Version id or generation, where the service has them and the call tells it (`head` always, `list` where the list does)."""


class PendingUpload(NamedTuple):
    """A large object that somebody began to write and neither finished nor aborted."""

    key: str
    upload: str
    started: float
    """Seconds since the epoch."""


class SentPart(NamedTuple):
    """A part of a large object that has arrived."""

    size: int
    """Bytes."""
    listed: str
    """What the service tells of it; for `part_tag`."""


class Readable(Protocol):
    """The part of a binary file that an upload needs."""

    def read(self, size: int, /) -> bytes: ...


class Batch(Protocol[T]):
    """Many small requests at once, for one thread. Each is sent once, and has ended when `take` gives it back."""

    def __len__(self) -> int:
        """Requests that are on their way."""

    def read(self, tag: T, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> None:
        """Begins what `Store.read` does.

        Args:
            tag: comes back with the answer.

        Raises:
            StoreError: it cannot be sent.
        """

    def put(self, tag: T, key: str, data: Buffer) -> None:
        """Begins what `Store.put` does. The bytes must stay as they are until it has ended.

        Raises:
            StoreError: it cannot be sent.
        """

    def take(self, seconds: float) -> Iterator[tuple[T, Buffer | StoreError]]:
        """What has ended, by its tag: the bytes of a read, nothing (`b""`) of a write, or the error. Waits at most so long for the
        first; while nothing is on its way, not at all."""

    def close(self) -> None:
        """Gives up what is on its way."""


class Store(Protocol):
    """One bucket. Keys are verbatim: nothing is encoded, decoded or normalised on the way.

    Every method raises `datums.stores.errors.StoreError`. A driver sends each request once (but for one that can be repeated, on a
    kept connection that the service has closed without an answer): whether, when and how often to try
    again is the caller's to decide, while the error is `retryable`; so it sees every refusal, and can slow down.
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

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> Buffer:
        """Exactly `length` bytes in memory, by one request: for small files and small ranges, the fastest way.

        Args:
            length: more than 0. An object that ends earlier is `Corrupt`, an answer that does `Unavailable`.
            etag: where not empty, any other version of the object is `Changed`.
            version: where not empty, this version is read (`ObjectInfo.version`).
        """

    def stream(
        self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = ""
    ) -> Iterator[Buffer]:
        """The bytes from `offset` on, in chunks of no certain size. An answer that ends too early is `Unavailable`.

        Args:
            length: how many bytes; None up to the end.
            etag: where not empty, any other version of the object is `Changed`.
            version: where not empty, this version is read (`ObjectInfo.version`).
        """

    def download(
        self,
        key: str,
        sink: Sink,
        came: Callable[[int], None],
        offset: int = 0,
        length: int | None = None,
        *,
        etag: str = "",
        version: str = "",
    ) -> None:
        """`stream` into a file: what came before an error is written, too, and no more than was asked for.

        Args:
            came: called with the number of bytes that were written since it was called last, at least every second. What it raises
                breaks the download off, and passes through.

        Raises:
            OSError: the file cannot be written.
        """

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> None:
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

    def batch(self, at_once: int) -> Batch[Any]:
        """For many small requests in one thread: where the driver can, far cheaper than a thread for each.

        Args:
            at_once: how many requests will be on their way.
        """

    @property
    def parts_in_order(self) -> bool:
        """Whether the parts of one upload must be sent one after the other (Google's resumable sessions); else in any order, and
        several at once."""

    def part_size(self, size: int) -> int:
        """The size of all parts but the last, in bytes, in which an object of `size` bytes is to be written."""

    def begin_upload(self, key: str) -> str:
        """Begins a large object, and returns what identifies it for the other calls, also in another process. Not for logs: for
        some services it is as good as a credential for this one object."""

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        """Writes one part, and returns its tag for `finish_upload`. Sending a part again replaces it.

        Args:
            number: from 1.
            offset: of the part in the object, in bytes.
            size: of the whole object, in bytes.
        """

    def sent_parts(self, key: str, upload: str) -> Mapping[int, SentPart]:
        """The parts that have arrived, by number, as far as the service tells: of some that have, nothing may be known. `NotFound`
        where the service knows no such upload, and tells."""

    def part_tag(self, part: SentPart, data: Buffer) -> str:
        """The tag of a part that has arrived, as `put_part` would have returned it, from the part's bytes. Sends nothing."""

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Makes the object appear, whole. Finishing what is finished already is no error where the service can tell, else
        `NotFound`.

        Args:
            tags: of all parts, in order.
        """

    def abort_upload(self, key: str, upload: str) -> None:
        """Throws away what was sent; an upload that is not there is no error."""

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """Uploads that are neither finished nor aborted, of keys that begin with `prefix`. Empty where the service shows none and
        removes them by itself (Azure and Google: after a week). `next` goes on after an error as that of `list` does."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """All objects whose keys begin with `prefix` (which is no directory), in the service's order. After an error that is
        retryable, `next` asks again for what failed, and goes on (`listing.Paged`; a generator could not)."""

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""
