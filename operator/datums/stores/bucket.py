"""What the drivers have in common: one bucket, its keys, and what its errors say."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, Codes, Target, classify, other_protocol, target_of
from datums.stores.protocol import Readable, SentPart, Store
from datums.stores.upload import put_file

if TYPE_CHECKING:
    from typing_extensions import Buffer

E = TypeVar("E", bound=errors.StoreError)
UNTOLD: Final = (errors.NotFound, errors.AccessDenied, errors.StoreError)
"""What an answer without a body can mean, and something more exact besides: only the answer to a GET tells a missing bucket from a
missing object, or a wrong key from a policy."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_KEPT: Final = frozenset({"", ".", ".."})
"""Segments of a key that clients and servers on the way take away, or for errors."""


class Bucket(Store, ABC):
    """A `Store` but for what each driver does in its own way.

    Args:
        access: how to reach it.
        codes: the provider's error codes.
    """

    parts_in_order: ClassVar[bool] = False
    most_parts: ClassVar[int] = 10_000
    """Of one object; the provider's limit."""

    def __init__(self, access: StoreAccess, codes: Codes) -> None:
        self._access = access
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
        put_file(self, key, file, size, on_progress, in_parts=in_parts)

    def part_size(self, size: int) -> int:
        return max(self._access.part_size_mib << 20, -(-size // self.most_parts))

    def sent_parts(self, key: str, upload: str) -> Mapping[int, SentPart]:
        return {}

    def part_tag(self, part: SentPart, data: Buffer) -> str:
        return part.listed

    def check_key(self, key: str) -> None:
        """Lets pass a key that is kept as it is on its way.

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

    def odd(self, key: str, what: str) -> errors.StoreError:
        """The error for an answer that is none of the protocol.

        Args:
            what: is odd about it, as the end of a sentence.
        """
        return other_protocol(self.target(key), self._codes, what)

    def corrupt(self, key: str, what: str) -> errors.StoreError:
        """The error for other bytes than were promised."""
        return self.error(errors.Corrupt, key, what)

    def cut(self, key: str, got: int, expected: int) -> errors.StoreError:
        """The error for an answer that ended too early."""
        return self.error(errors.Unavailable, key, f"ended after {got} of {expected} bytes")

    def only_reads(self, key: str) -> errors.StoreError:
        """The error for a write without credentials."""
        return self.error(
            errors.AccessDenied,
            key,
            "cannot be written: spec.credentials.anonymous only reads; name a Secret in spec.credentials.secretRef",
        )

    def target(self, key: str = "") -> Target:
        """For messages about an object, or about the bucket."""
        return self._target._replace(key=key)

    @abstractmethod
    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        """Writes in one request.

        Raises:
            AlreadyExists: with `if_absent`, where the service itself has found the key taken.
            NotSupported: the service knows no `if_absent`.
        """

    def _exists(self, key: str) -> bool:
        try:
            self.head(key)
        except errors.NotFound:
            return False
        return True

    def _taken(self, key: str) -> errors.AlreadyExists:
        return self.error(errors.AlreadyExists, key, "exists already")

    def error(self, kind: type[E], key: str, what: str) -> E:
        """An error of ours about an object.

        Args:
            what: the rest of the sentence.
        """
        return kind(f"DataStore {self.name}: {self.uri(key)} {what}", store=self.name, key=key)
