"""Google's JSON API, for what obstore has no form for: the list with verbatim keys, uploads in parts.

The SDK is not used here: it costs a third of a second to import, tries again by itself, and has no form for sending one part of an
upload that another process began. Its credentials (google-auth) are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores.answers import Answer
from datums.stores.clients import CONNECT_SECONDS, SILENCE_SECONDS, USER_AGENT
from datums.stores.errors import StoreError
from datums.stores.gcs_codes import CLOCK, read_body

if TYPE_CHECKING:
    from typing_extensions import Buffer

SCOPE: Final = "https://www.googleapis.com/auth/devstorage.read_write"
_MOST: Final = 16 << 20  # a page of 1,000 keys has at most 2 MiB
_SKEW_SECONDS: Final = 300.0
Fail = Callable[[Answer], StoreError]


class Reply:
    """An answer whose status was expected."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def read(self, kind: type[Any]) -> Any:
        """The body, typed; None where it is nothing like it."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError:
            return None


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
        self._http = _pool(access)

    def bucket(self, **query: str) -> str:
        """URL of the objects of the bucket."""
        return f"{self._service}/storage/v1/b/{self._bucket}/o?{urlencode(query, quote_via=quote)}"

    def object(self, key: str, **query: str) -> str:
        """URL of an object's metadata."""
        return f"{self._service}/storage/v1/b/{self._bucket}/o/{quote(key, safe='')}?{urlencode(query, quote_via=quote)}"

    def upload(self, **query: str) -> str:
        """URL that takes the bytes of new objects."""
        return f"{self._service}/upload/storage/v1/b/{self._bucket}/o?{urlencode(query, quote_via=quote)}"

    def send(
        self,
        method: str,
        url: str,
        fail: Fail,
        *,
        body: Buffer = b"",
        headers: Mapping[str, str] | None = None,
        signed: bool = True,
        expected: tuple[int, ...] = (200, 204),
    ) -> Reply:
        """Sends one request.

        Args:
            fail: makes the error of any answer that is not expected.
            signed: with the credentials; not for a session's URL, which is its own credential.
        """
        all_headers = {"User-Agent": USER_AGENT, **(headers or {})}
        if signed and self._credentials is not None:
            with self._refreshing:
                # A key signs by itself: nobody is asked for a token.
                self._credentials.before_request(None, method, url, all_headers)
        try:
            # Any buffer is sent as it is, whatever urllib3's types say.
            response = self._http.request(
                method, url, body=cast("bytes", body), headers=all_headers, redirect=False, preload_content=False
            )
            try:
                # Without `with`: that would read the rest of a body that has no end.
                content = response.read(_MOST)
            finally:
                response.close() if response.length_remaining else response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise fail(Answer(network=_network(error))) from None
        if response.status in expected:
            return Reply(response.status, response.headers, content)
        raise fail(_answer(response.status, response.headers, content))


def _credentials(key: Mapping[str, str]) -> Any:
    # Here, for it costs a tenth of a second to import, and anonymous stores need none.
    from google.oauth2 import service_account  # noqa: PLC0415

    made = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    return made.with_always_use_jwt_access(True)


def _pool(access: StoreAccess) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "retries": False,
        "timeout": urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
        "maxsize": access.concurrency,
    }
    if service_url("gcs", endpoint=access.endpoint).startswith("https:"):
        import ssl  # noqa: PLC0415

        options["ssl_context"] = ssl.create_default_context()
        if access.ca_bundle:
            options["ssl_context"].load_verify_locations(cadata=access.ca_bundle)
    return urllib3.ProxyManager(access.proxy, **options) if access.proxy else urllib3.PoolManager(**options)


def _network(error: Exception) -> str:
    """In the words that `answers` reads."""
    began = (urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ProxyError, urllib3.exceptions.SSLError)
    return f"Connect {error!r}" if isinstance(error, began) else repr(error)


def _answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    answer = read_body(status, body.decode("utf-8", "replace"))
    if status == 401 and abs(_seconds_from_now(headers.get("Date", ""))) > _SKEW_SECONDS:
        # Google says "Invalid Credentials" of a key that signed at a time it does not accept.
        return answer._replace(code=CLOCK)
    return answer._replace(retry_after=_retry_after(headers.get("Retry-After", "")))


def _retry_after(value: str) -> float:
    return float(value) if value.isdecimal() else max(_seconds_from_now(value), 0.0)


def _seconds_from_now(date: str) -> float:
    """Of an HTTP date; 0 where it is none."""
    try:
        return parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp() - time.time()
    except ValueError:
        return 0.0
