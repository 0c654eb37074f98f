"""Google's JSON API, for what obstore has no form for: the list with verbatim keys, uploads in parts.

The SDK is not used here: it costs a third of a second to import, tries again by itself, and has no form for sending one part of an
upload that another process began. Its credentials (google-auth) are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores.answers import Answer
from datums.stores.errors import StoreError
from datums.stores.gcs_codes import CLOCK, read_body
from datums.stores.wire import Reply, Request, Wire, WireError

if TYPE_CHECKING:
    from typing_extensions import Buffer

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
_MOST: Final = 16 << 20  # a page of 1,000 keys has at most 2 MiB
_SKEW_SECONDS: Final = 300.0
Fail = Callable[[Answer], StoreError]
T = TypeVar("T")


class JsonAPI:
    """Sends requests, each once. For many threads at once.

    Args:
        key: the service account's key file, parsed; None sends no credentials.
    """

    def __init__(self, access: StoreAccess, key: Mapping[str, str] | None) -> None:
        self._service = service_url("gcs", endpoint=access.endpoint)
        self._bucket = quote(access.bucket, safe="")
        self._credentials = _credentials(key) if key else None
        self._refreshing = Lock()
        self._wire = Wire(self._service, ca_bundle=access.ca_bundle, proxy=access.proxy)

    def objects(self, **query: str) -> str:
        """The target that lists the bucket."""
        return f"/storage/v1/b/{self._bucket}/o?{_query(query)}"

    def object(self, key: str, **query: str) -> str:
        """The target of an object's metadata."""
        return f"/storage/v1/b/{self._bucket}/o/{quote(key, safe='')}?{_query(query)}"

    def upload(self, **query: str) -> str:
        """The target that takes the bytes of new objects."""
        return f"/upload/storage/v1/b/{self._bucket}/o?{_query(query)}"

    def session(self, url: str) -> str:
        """The target of a resumable session. Its host is left aside: any that the service has knows the session."""
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}"

    def send(
        self,
        method: str,
        target: str,
        fail: Fail,
        *,
        body: Buffer | tuple[Buffer, ...] = b"",
        headers: Mapping[str, str] | None = None,
        signed: bool = True,
        expected: tuple[int, ...] = (200, 204),
    ) -> Reply:
        """Sends one request.

        Args:
            fail: makes the error of any answer that is not expected.
            headers: names in lower case.
            signed: with the credentials; not for a session, whose URL is its own credential.
        """
        every = dict(headers or {})
        if signed and self._credentials is not None:
            with self._refreshing:
                # A key signs by itself: nobody is asked for a token.
                self._credentials.before_request(None, method, f"{self._service}{target}", every)
        try:
            reply = self._wire.send(Request(method, target, every, body), _MOST)
        except WireError as error:
            raise fail(Answer(network=str(error))) from None
        if reply.status not in expected:
            raise fail(_answer(reply))
        return reply


def read(reply: Reply, kind: type[T]) -> T | None:
    """The body, typed; None where it is nothing like it."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError:
        return None


def _credentials(key: Mapping[str, str]) -> Any:
    # Here, for it costs a tenth of a second to import, and anonymous stores need none.
    from google.oauth2 import service_account  # noqa: PLC0415

    made = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    return made.with_always_use_jwt_access(True)


def _query(values: Mapping[str, str]) -> str:
    return urlencode(values, quote_via=quote)


def _answer(reply: Reply) -> Answer:
    answer = read_body(reply.status, reply.body.decode("utf-8", "replace"))
    if reply.status == 401 and _skewed(reply.headers.get("date", "")):
        # Google says "Invalid Credentials" of a key that signed at a time it does not accept.
        return answer._replace(code=CLOCK)
    return answer._replace(retry_after=reply.retry_after)


def _skewed(date: str) -> bool:
    try:
        return abs(parsedate_to_datetime(date).timestamp() - time.time()) > _SKEW_SECONDS
    except ValueError:
        return False
