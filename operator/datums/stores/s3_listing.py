"""Listing a bucket with its keys verbatim.

obstore parses keys into paths: it drops a trailing slash (so that a directory marker looks like a file), takes `a//b` and `..` for
errors that end the whole listing, and lists whole path segments only. Keys of other people have all of these; so this is a signed
request of our own.
"""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Final, NoReturn
from urllib.parse import unquote_plus, urlsplit
from xml.etree import ElementTree

from datums.stores import errors, sigv4
from datums.stores.answers import Answer, Target, classify, read_answer
from datums.stores.protocol import ObjectInfo
from datums.stores.s3_codes import S3_CODES

_TRIES: Final = 3
_TIMEOUT: Final = 30.0
_MOST: Final = 16 << 20  # a page of 1,000 keys has at most 3 MiB


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """A signed request is good for one host only."""


class Listing:
    """Lists one bucket. `url` addresses the bucket itself."""

    def __init__(self, url: str, signer: sigv4.Signer, target: Target, ca_bundle: str) -> None:
        self._url = urlsplit(url.rstrip("/"))
        self._signer = signer
        self._target = target
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            if ca_bundle:
                context.load_verify_locations(cadata=ca_bundle)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def objects(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in the service's order."""
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        token = ""
        while True:
            page = self._page(query | ({"continuation-token": token} if token else {}))
            yield from _read(page)
            following = page.findtext("{*}NextContinuationToken") or ""
            if page.findtext("{*}IsTruncated") != "true":
                return
            if not following or following == token:
                raise errors.Unavailable(
                    f"DataStore {self._target.store}: {self._target.endpoint} does not go on with the list of {self._target.uri}",
                    store=self._target.store,
                    key=prefix,
                )
            token = following

    def _page(self, query: dict[str, str]) -> ElementTree.Element:
        for attempt in range(_TRIES):
            try:
                return self._request(query)
            except errors.StoreError as error:
                if not error.retryable or attempt == _TRIES - 1:
                    raise
            time.sleep(0.1 * 4**attempt)
        raise AssertionError("unreachable")

    def _request(self, query: dict[str, str]) -> ElementTree.Element:
        text, path = sigv4.query_string(query), self._url.path or "/"
        headers = sigv4.headers(self._signer, self._url.netloc, path, text, datetime.now(UTC))
        request = urllib.request.Request(f"{self._url.scheme}://{self._url.netloc}{path}?{text}", headers=headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=_TIMEOUT) as response:
                body = response.read(_MOST)
        except urllib.error.HTTPError as error:
            self._fail(_answer(error.code, error))
        except urllib.error.URLError as error:
            self._fail(Answer(network=f"Connect {error.reason!r}"))
        except (OSError, http.client.HTTPException) as error:
            self._fail(Answer(network=repr(error)))
        try:
            # The service is one that the platform team has connected; expat bounds entity expansion.
            page = ElementTree.fromstring(body)  # noqa: S314
        except ElementTree.ParseError:
            page = None
        if page is None or not page.tag.endswith("ListBucketResult"):
            self._fail(Answer(network="Got invalid list response"))
        return page

    def _fail(self, answer: Answer) -> NoReturn:
        raise classify(answer, self._target, "list", S3_CODES) from None


def _answer(status: int, body: IO[bytes]) -> Answer:
    return read_answer(body.read(1 << 16).decode("utf-8", "replace"))._replace(status=status, network="")


def _read(page: ElementTree.Element) -> Iterator[ObjectInfo]:
    encoded = page.findtext("{*}EncodingType") == "url"
    for item in page.iterfind("{*}Contents"):
        key = item.findtext("{*}Key") or ""
        yield ObjectInfo(
            key=unquote_plus(key) if encoded else key,
            size=int(item.findtext("{*}Size") or 0),
            etag=item.findtext("{*}ETag") or "",
            last_modified=datetime.fromisoformat(item.findtext("{*}LastModified") or "1970-01-01T00:00:00Z").timestamp(),
        )
