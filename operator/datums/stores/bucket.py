"""What the drivers have in common: one bucket, by obstore's blocking calls (its asyncio side aborts at exit)."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, Codes, Target, classify, other_protocol, read_answer, target_of
from datums.stores.protocol import ObjectInfo, PendingUpload, Readable, SentPart

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ObjectStore
    from typing_extensions import Buffer

E = TypeVar("E", bound=errors.StoreError)
CHUNK_BYTES: Final = 256 << 10
_UNTOLD: Final = (errors.NotFound, errors.AccessDenied, errors.StoreError)
"""What an answer without a body can mean, and something more exact besides."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_KEPT: Final = frozenset({"", ".", ".."})
"""Segments of a key that obstore takes away, or for errors."""


class Bucket(ABC):
    """A `Store` but for what each provider does in its own way: the list and the uploads in parts.

    A driver fills in the abstract methods, and sends what obstore cannot by itself inside `calling`, or raises `failed(…)`.

    Args:
        access: how to reach it.
        opened: obstore's store; it must send each request once (`clients.ONE_TRY`).
        codes: the provider's error codes.
    """

    parts_in_order: ClassVar[bool] = False
    most_parts: ClassVar[int] = 10_000
    """Of one object; the provider's limit."""

    def __init__(self, access: StoreAccess, opened: ObjectStore, codes: Codes) -> None:
        self._access = access
        self._opened = opened
        self._codes = codes
        self._target = target_of(access)
        self._conditional_put = access.conditional_put

    @property
    def name(self) -> str:
        return self._access.name

    @property
    def prefix(self) -> str:
        return self._access.prefix

    @property
    def conditional_put(self) -> bool:
        return self._conditional_put

    def uri(self, key: str) -> str:
        return f"{self._target.root}/{key}"

    def head(self, key: str) -> ObjectInfo:
        try:
            with self.calling(key, "read"):
                meta = obstore.head(self._opened, key)
        except errors.StoreError as error:
            if type(error) not in _UNTOLD:
                raise
            # Only the answer to a GET tells a missing bucket from a missing object, or a wrong key from a policy.
            with self.calling(key, "read"):
                meta = obstore.get(self._opened, key).meta
        self._check(key, meta)
        return ObjectInfo(key, meta["size"], meta["e_tag"] or "", meta["last_modified"].timestamp(), meta["version"] or "")

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        with self.calling(key, "read"):
            result = obstore.get(self._opened, key)
            self._check(key, result.meta)
            size = result.meta["size"]
            if size > limit:
                raise self._corrupt(key, f"has {size} bytes, expected are at most {limit}")
            data = bytes(result.bytes())
        if len(data) != size:
            raise self._cut(key, len(data), size)
        return data

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> Buffer:
        with self.calling(key, "read"):
            data = self._get(key, offset, length, etag, version).bytes()
        if len(data) != length:
            raise self._cut(key, len(data), length)
        return data

    def stream(
        self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = ""
    ) -> Iterator[Buffer]:
        if length == 0:
            return  # no service has a range of nothing
        got = 0
        with self.calling(key, "read"):
            result = self._get(key, offset, length, etag, version)
            start, end = result.range
            for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                got += len(chunk)
                yield chunk
        if got != end - start:
            raise self._cut(key, got, end - start)

    def put(self, key: str, data: Buffer, *, if_absent: bool = False) -> None:
        if if_absent and self._conditional_put:
            try:
                return self._write(key, data, if_absent=True)
            except (errors.NotSupported, NotImplementedError):
                self._conditional_put = False
        if if_absent and self._exists(key):
            raise self._taken(key)
        return self._write(key, data, if_absent=False)

    def put_file(
        self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
    ) -> None:
        # Here, for the threads' module costs some milliseconds to import.
        from datums.stores.upload import put_file  # noqa: PLC0415

        put_file(self, key, file, size, on_progress, in_parts=in_parts)

    def part_size(self, size: int) -> int:
        return max(self._access.part_size_mib << 20, -(-size // self.most_parts))

    def delete(self, key: str) -> None:
        with self.calling(key, "remove"):
            obstore.delete(self._opened, key)

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]: ...

    @abstractmethod
    def begin_upload(self, key: str) -> str: ...

    @abstractmethod
    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str: ...

    def sent_parts(self, key: str, upload: str) -> Mapping[int, SentPart]:
        return {}

    def part_tag(self, part: SentPart, data: Buffer) -> str:
        return part.listed

    @abstractmethod
    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None: ...

    @abstractmethod
    def abort_upload(self, key: str, upload: str) -> None: ...

    @abstractmethod
    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]: ...

    @contextmanager
    def calling(self, key: str, doing: str) -> Iterator[None]:
        """Turns what obstore raises into a StoreError.

        Args:
            doing: `read`, `write`, …; for the sentence.

        Raises:
            UnsupportedKey: obstore would not keep the key as it is.
        """
        self.check_key(key)
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(key) from None
        except (BaseError, FileNotFoundError) as error:
            # `from None`: what obstore says is long, and holds the request's URL.
            raise self.failed(read_answer(str(error)), key, doing) from None

    def check_key(self, key: str) -> None:
        """Lets pass a key that obstore keeps as it is.

        Raises:
            UnsupportedKey
        """
        if _CONTROL.search(key) or not _NOT_KEPT.isdisjoint(key.split("/")):
            raise errors.UnsupportedKey(
                f"DataStore {self.name}: the key {key!r} cannot be used: an empty, '.' or '..' segment, a slash at an end or a "
                "control character in it would not be kept as it is; rename the object",
                store=self.name,
                key=key,
            )

    def failed(self, answer: Answer, key: str, doing: str) -> errors.StoreError:
        """The error that an answer means; for the driver to raise."""
        return classify(answer, self.target(key), doing, self._codes)

    def target(self, key: str = "") -> Target:
        """For messages about an object, or about the bucket."""
        return self._target._replace(key=key)

    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        """Writes in one request.

        Raises:
            AlreadyExists: with `if_absent`, where the service itself has found the key taken.
            NotSupported: the service knows no `if_absent`.
        """
        with self.calling(key, "write"):
            obstore.put(self._opened, key, data, mode="create" if if_absent else "overwrite", use_multipart=False)

    def _get(self, key: str, offset: int, length: int | None, etag: str, version: str) -> GetResult:
        options: GetOptions = {}
        if length is not None:
            options["range"] = (offset, offset + length)
        elif offset:
            options["range"] = {"offset": offset}
        if etag:
            options["if_match"] = etag
        if version:
            options["version"] = version
        result = obstore.get(self._opened, key, options=options)
        self._check(key, result.meta, etag, version)
        if length is not None and result.range != (offset, offset + length):
            raise self._corrupt(key, f"ends at byte {result.range[1]}, and was to be read up to {offset + length}")
        return result

    def _check(self, key: str, meta: ObjectMeta, etag: str = "", version: str = "") -> None:
        """Services ignore conditions that they do not know, and what is no such service answers with a page of its own."""
        if not meta["e_tag"]:
            raise other_protocol(self.target(key), self._codes, "an answer without an ETag")
        if (etag and _bare(meta["e_tag"]) != _bare(etag)) or (version and meta["version"] and meta["version"] != version):
            raise self.failed(Answer(status=412), key, "read")

    def _exists(self, key: str) -> bool:
        try:
            self.head(key)
        except errors.NotFound:
            return False
        return True

    def _taken(self, key: str) -> errors.AlreadyExists:
        return self._error(errors.AlreadyExists, key, "exists already")

    def _corrupt(self, key: str, what: str) -> errors.StoreError:
        return self._error(errors.Corrupt, key, what)

    def _cut(self, key: str, got: int, expected: int) -> errors.StoreError:
        return self._error(errors.Unavailable, key, f"ended after {got} of {expected} bytes")

    def _error(self, kind: type[E], key: str, what: str) -> E:
        return kind(f"DataStore {self.name}: {self.uri(key)} {what}", store=self.name, key=key)


def _bare(etag: str) -> str:
    """Without the quotes, which some lists leave out."""
    return etag.removeprefix("W/").strip('"')
