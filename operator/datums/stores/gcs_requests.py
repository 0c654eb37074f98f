"""Requests to Google Cloud Storage: objects are read and removed by the XML API, written by the JSON API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores.answers import Answer
from datums.stores.bucket import Bucket
from datums.stores.errors import AccessDenied, StoreError
from datums.stores.gcs_codes import CLOCK, read_body
from datums.stores.gcs_json import JsonAPI
from datums.stores.gcs_key import KEY
from datums.stores.gcs_token import Token
from datums.stores.gcs_writes import Writes
from datums.stores.http_requests import Requests
from datums.stores.sigv4 import key_path
from datums.stores.wire import Reply, Request

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SKEW_SECONDS: Final = 300.0


class GCSRequests(Requests):
    """One bucket.

    Args:
        bucket: for what its errors say.
        token: None sends no credentials.
    """

    def __init__(self, access: StoreAccess, bucket: Bucket, token: Token | None) -> None:
        super().__init__(access, f"{service_url('gcs', endpoint=access.endpoint)}/{quote(access.bucket, safe='')}", bucket.failed)
        self._token = token
        self._bucket = bucket
        self.json = JsonAPI(self, access.bucket)
        self.writes = Writes(self.json, bucket)

    def request(
        self, method: str, key: str, query: Mapping[str, str], *, headers: Mapping[str, str] | None = None, body: Buffer = b""
    ) -> Request:
        path, text = f"{self._path}/{key_path(key)}", urlencode(query, quote_via=quote)
        # Else Google unpacks objects that are stored with `Content-Encoding: gzip`, and gives other bytes than it counts.
        every = {"accept-encoding": "gzip", **(headers or {}), **self.signed(key)}
        return Request(method, f"{path}?{text}" if text else path, every, body)

    def signed(self, key: str) -> dict[str, str]:
        """The headers that say who sends a request.

        Raises:
            StoreError: the key file cannot sign.
        """
        if self._token is None:
            return {}
        try:
            return {"authorization": self._token.header()}
        except ValueError as error:
            raise wrong_secret(self._bucket, f"the private_key in {KEY} {error}", key) from None

    def writing(self, key: str, body: Buffer, *, if_absent: bool = False) -> Request:
        return self.writes.request(key, body, if_absent=if_absent)

    def written(self, request: Request, reply: Reply, key: str) -> str:
        return self.writes.written(request, reply, key)

    def read_error(self, reply: Reply) -> Answer:
        answer = read_body(reply.status, reply.body)
        if self._token is None:  # nobody has wrong credentials who sends none
            return answer._replace(code="" if reply.status == 401 else answer.code, retry_after=reply.retry_after)
        if reply.status == 401 and _skewed(reply.headers.get("date", "")):
            # Google says "Invalid Credentials" of a key that signed at a time it does not accept.
            return answer._replace(code=CLOCK)
        return answer._replace(retry_after=reply.retry_after)

    def refused(self, reply: Reply, key: str, doing: str, missing: str) -> StoreError:
        """The error for an answer of the JSON API.

        Args:
            missing: the code that a plain 404 stands for.
        """
        answer = self.read_error(reply)
        if answer.status in (410, 499):  # a session that has ended, or was ended
            answer = answer._replace(status=404, foreign=False)
        if missing and answer.status == 404 and not answer.foreign:
            answer = answer._replace(code=missing)
        return self._failed(answer, key, doing)


def wrong_secret(bucket: Bucket, what: str, key: str) -> StoreError:
    """The error for a Secret that holds no key file.

    Args:
        what: is wrong with it.
    """
    return AccessDenied(
        f"DataStore {bucket.name}: {what}: put the service account's key file there, whole, by "
        f"`kubectl create secret generic <name> --from-file={KEY}=<key file>`",
        store=bucket.name,
        key=key,
    )


def _skewed(date: str) -> bool:
    try:
        return abs(parsedate_to_datetime(date).timestamp() - time.time()) > _SKEW_SECONDS
    except ValueError:
        return False
