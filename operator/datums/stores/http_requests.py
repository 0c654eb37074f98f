"""Requests to one bucket of a service, and what its answers mean. How they are signed and what the service calls its errors is each
provider's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from datums.model.plan import StoreAccess
from datums.stores.answers import Answer, read_error_body
from datums.stores.errors import StoreError
from datums.stores.wire import Incoming, Reply, Request, Wire, WireError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from typing_extensions import Buffer

    from datums.stores.sink import Sink

_MOST: Final = 16 << 20  # a page of 1,000 keys, with Azure's metadata, has at most 12 MiB


class Requests(ABC):
    """One bucket of a service.

    Args:
        url: addresses the bucket.
        failed: makes the error of an answer to a call, by key and what was being done.
    """

    def __init__(self, access: StoreAccess, url: str, failed: Callable[[Answer, str, str], StoreError]) -> None:
        self._path = urlsplit(url).path.rstrip("/")
        self._failed = failed
        self.wire = Wire(url, ca_bundle=access.ca_bundle, proxy=access.proxy)

    @abstractmethod
    def request(
        self, method: str, key: str, query: Mapping[str, str], *, headers: Mapping[str, str] | None = None, body: Buffer = b""
    ) -> Request:
        """A request, signed.

        Args:
            key: empty for the bucket.
            headers: names in lower case.

        Raises:
            StoreError: there is nothing to sign it with.
        """

    @abstractmethod
    def writing(self, key: str, body: Buffer, *, if_absent: bool = False) -> Request:
        """The request that writes a whole object.

        Args:
            if_absent: the service is to refuse it where the key is taken; `Changed` then.
        """

    @abstractmethod
    def written(self, request: Request, reply: Reply, key: str) -> str:
        """What the service says of what was written, which is no more than words.

        Raises:
            StoreError: it was not written, or not as it was sent.
        """

    def read_error(self, reply: Reply) -> Answer:
        """What an answer tells that is an error."""
        return read_error_body(reply.status, reply.body, reply.retry_after)

    def send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        doing: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Buffer = b"",
        about: str = "",
        limit: int = _MOST,
        is_patient: bool = False,
        once: bool = False,
    ) -> Reply:
        """The answer to a request that went well.

        Args:
            doing: `read`, `write`, …; for messages.
            about: what messages name instead of the key.
            limit: the most bytes of an answer that are taken.
            is_patient, once: as `Request` has them.

        Raises:
            StoreError: whatever else came of it.
        """
        request = self.request(method, key, query, headers=headers, body=body)._replace(is_patient=is_patient, once=once)
        return self.checked(self.answer(request, about or key, doing, limit), about or key, doing)

    def answer(self, request: Request, about: str, doing: str, limit: int = _MOST) -> Reply:
        """The answer to a request, whatever it is.

        Raises:
            StoreError: there is none.
        """
        try:
            return self.wire.send(request, limit)
        except WireError as error:
            raise self.broken(error, about, doing) from None

    @contextmanager
    def receive(self, request: Request, key: str) -> Iterator[Incoming]:
        """The answer to a GET, its body to be taken as it comes.

        Raises:
            StoreError: there is none, or it breaks off.
        """
        try:
            with self.wire.receive(request) as incoming:
                yield incoming
        except WireError as error:
            raise self.broken(error, key, "read") from None

    def save(
        self, request: Request, key: str, sink: Sink, most: int, begin: Callable[[Reply], None], came: Callable[[int], None]
    ) -> None:
        """Writes the body of the answer to a GET to a file (`Wire.save`).

        Args:
            begin: called with the headers of the answer, whatever it is, and the body of an error.

        Raises:
            StoreError: there is none, or it breaks off.
            OSError: the file cannot be written.
        """
        try:
            self.wire.save(request, sink, most, begin, came)
        except WireError as error:
            raise self.broken(error, key, "read") from None

    def checked(self, reply: Reply, about: str, doing: str) -> Reply:
        """An answer, if it is one that went well.

        Raises:
            StoreError
        """
        if not 200 <= reply.status < 300:
            raise self._failed(self.read_error(reply), about, doing)
        return reply

    def broken(self, error: WireError, about: str, doing: str) -> StoreError:
        """The error for no answer."""
        return self._failed(Answer(network=str(error)), about, doing)

    def odd(self, about: str, doing: str) -> StoreError:
        """The error for an answer that is none of the protocol."""
        return self._failed(Answer(network="Got invalid answer"), about, doing)

    def put(self, key: str, body: Buffer, *, if_absent: bool = False) -> None:
        """Writes a whole object.

        Raises:
            StoreError
        """
        request = self.writing(key, body, if_absent=if_absent)
        self.written(request, self.answer(request, key, "write"), key)

    def read_xml(self, reply: Reply, tag: str, about: str, doing: str) -> Element:
        """The document in an answer.

        Args:
            tag: of its root.

        Raises:
            StoreError: it is another one, such as an error, or a page of something on the way.
        """
        from xml.etree import ElementTree  # noqa: PLC0415  some milliseconds

        try:
            # The service is one that the platform team has connected; expat bounds entity expansion.
            root = ElementTree.fromstring(reply.body)  # noqa: S314
        except ElementTree.ParseError:
            raise self.odd(about, doing) from None
        name = root.tag.rpartition("}")[2]
        if name == "Error":
            raise self._failed(read_error_body(0, reply.body), about, doing)
        if name != tag:
            raise self.odd(about, doing)
        return root
