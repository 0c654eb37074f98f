"""Signed requests to Azure Blob Storage."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from datums.model.plan import StoreAccess
from datums.stores.answers import CERTIFICATE, Answer, classify, read_error_body
from datums.stores.azure_codes import AZURE_CODES, refine
from datums.stores.azure_key import Credential
from datums.stores.azure_login import Login, LoginRefused, LoginUnreachable
from datums.stores.azure_signing import authorization
from datums.stores.bucket import Bucket
from datums.stores.errors import EndpointUnreachable, StoreError
from datums.stores.http_requests import Requests
from datums.stores.sigv4 import key_path
from datums.stores.wire import Reply, Request

if TYPE_CHECKING:
    from typing_extensions import Buffer

_VERSION: Final = "2023-11-03"
_CODE: Final = "x-ms-error-code"


class AzureRequests(Requests):
    """One container.

    Args:
        url: of the service.
        bucket: for what its errors say.
    """

    def __init__(self, access: StoreAccess, url: str, credential: Credential, bucket: Bucket) -> None:
        super().__init__(access, f"{url}/{quote(access.bucket, safe='')}", bucket.failed)
        self._account = access.account
        self._anonymous = access.anonymous
        self._url = url
        self._credential = credential
        self._bucket = bucket
        self._login = Login(access, credential) if credential.secret else None
        self._is_plain = url.startswith("http:")

    def request(
        self, method: str, key: str, query: Mapping[str, str], *, headers: Mapping[str, str] | None = None, body: Buffer = b""
    ) -> Request:
        path = f"{self._path}/{key_path(key)}" if key else self._path
        every = {**(headers or {}), "x-ms-version": _VERSION, "x-ms-date": _date(int(time.time()))}
        size = memoryview(body).nbytes
        if size and self._is_plain and "content-md5" not in every:
            # Over TLS nothing changes on the way, and an MD5 would take longer than the way.
            every["content-md5"] = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        if self._credential.key:
            every["authorization"] = authorization(self._account, self._credential.key, method, path, query, every, size)
        elif self._login is not None:
            every["authorization"] = self._token(self._login, key, method)
        asked = [urlencode(query, quote_via=quote), self._credential.sas]
        text = "&".join([part for part in asked if part])
        return Request(method, f"{path}?{text}" if text else path, every, body)

    def writing(self, key: str, body: Buffer, *, if_absent: bool = False) -> Request:
        headers = {"x-ms-blob-type": "BlockBlob", "content-type": "application/octet-stream"}
        if if_absent:
            headers["if-none-match"] = "*"
        return self.request("PUT", key, {}, headers=headers, body=body)._replace(once=if_absent)

    def written(self, request: Request, reply: Reply, key: str) -> str:
        """The object's ETag."""
        etag = self.checked(reply, key, "write").headers.get("etag", "")
        if not etag:
            raise self.odd(key, "write")
        return etag

    def read_error(self, reply: Reply) -> Answer:
        answer = read_error_body(reply.status, reply.body, reply.retry_after)
        if not answer.code and (code := reply.headers.get(_CODE, "")):  # an answer to a HEAD has no body
            answer = answer._replace(code=code, foreign=False)
        expired = self._credential.sas_expires < time.time()
        return refine(answer, reply.body.decode("utf-8", "replace"), anonymous=self._anonymous, expired=expired)

    def _token(self, login: Login, key: str, method: str) -> str:
        try:
            return login.header()
        except LoginUnreachable as error:
            raise self._unreachable(str(error), key) from None
        except LoginRefused as error:
            raise self._failed(error.answer, key, "read" if method in ("GET", "HEAD") else "write") from None

    def _unreachable(self, why: str, key: str) -> StoreError:
        name, url = self._bucket.name, self._credential.login
        if CERTIFICATE in why:
            return classify(Answer(network=why), self._bucket.target(key)._replace(endpoint=url), "read", AZURE_CODES)
        return EndpointUnreachable(
            f"DataStore {name}: {url}, which gives the tokens for {self._url}, cannot be reached ({why.removeprefix('Connect ')}): "
            "correct AZURE_AUTHORITY_HOST in the Secret of spec.credentials.secretRef, or the way to it",
            store=name,
            key=key,
        )


@lru_cache(maxsize=4)
def _date(now: int) -> str:
    """The time of all requests of a second."""
    return formatdate(now, usegmt=True)
