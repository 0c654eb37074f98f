"""What a service can do wrong with the pages of an S3 listing (list-type=2). Pure, on the bytes of an answer."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

_OBJECT = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_NEXT = re.compile(rb"<NextContinuationToken>.*?</NextContinuationToken>", re.DOTALL)


def is_listing(method: str, target: str) -> bool:
    """Whether the request asks for a page of objects."""
    return method == "GET" and "list-type" in parse_qs(urlsplit(target).query)


def reordered(page: bytes) -> bytes:
    """The page with its objects the other way round."""
    objects = iter(reversed(_OBJECT.findall(page)))
    return _OBJECT.sub(lambda _: next(objects), page)


def pointing_at_itself(page: bytes, target: str) -> bytes:
    """The page with its own token as that of the next one; the first page, which has none, stays as it is."""
    token = parse_qs(urlsplit(target).query).get("continuation-token", [""])[0]
    if not token:
        return page
    said = f"<NextContinuationToken>{escape(token)}</NextContinuationToken>".encode()
    if not _NEXT.search(page):  # the last one
        page = page.replace(b"<IsTruncated>false</IsTruncated>", b"<IsTruncated>true</IsTruncated>" + said)
    return _NEXT.sub(lambda _: said, page)
