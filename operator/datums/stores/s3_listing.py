"""Listing a bucket, or what is being written to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from datums.stores.errors import StoreError
from datums.stores.listing import Keys, Paged
from datums.stores.protocol import ObjectInfo, PendingUpload
from datums.stores.s3_requests import S3Requests

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_SEPARATOR: Final = "\n"  # in no key of ours


def list_objects(requests: S3Requests, prefix: str, odd: Callable[[str], StoreError], *, sorted_keys: bool) -> Paged[ObjectInfo]:
    """Every object whose key begins with `prefix`.

    Args:
        odd: the error for a list that cannot be right, from words that say why.
        sorted_keys: the service promises the keys in the order of their bytes.
    """
    keys = Keys(prefix, odd, sorted_keys=sorted_keys)

    def page(token: str) -> tuple[list[ObjectInfo], str]:
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        root = _get(requests, query | ({"continuation-token": token} if token else {}), "ListBucketResult", prefix)
        # A page that something on the way has kept, or mixed up, would leave a gap that nobody sees.
        if (root.findtext("{*}ContinuationToken") or token) != token:
            raise odd("it gave another page of the list than was asked for")
        encoded = root.findtext("{*}EncodingType") == "url"
        found = [_object(item, encoded=encoded) for item in root.iterfind("{*}Contents")]
        following = _following(root, "NextContinuationToken", odd)
        return keys.checked(found), following

    return Paged(page, lambda: odd("its list leads to the same page again"))


def list_uploads(requests: S3Requests, prefix: str, odd: Callable[[str], StoreError]) -> Paged[PendingUpload]:
    """Every upload of a key that begins with `prefix` that is neither finished nor aborted. Arguments as above."""

    def page(marker: str) -> tuple[list[PendingUpload], str]:
        # As they are, for some services tell that they encode the keys here, and do not. What XML cannot have is in no key of ours.
        query = {"uploads": "", "prefix": prefix}
        if marker:
            query["key-marker"], _, query["upload-id-marker"] = marker.partition(_SEPARATOR)
        root = _get(requests, query, "ListMultipartUploadsResult", prefix)
        found = [
            PendingUpload(text["Key"], text.get("UploadId", ""), _time(text.get("Initiated", "")))
            for text in map(_texts, root.iterfind("{*}Upload"))
            if text.get("Key")
        ]
        following = _following(root, "NextKeyMarker", odd)
        if following:
            following += _SEPARATOR + (root.findtext("{*}NextUploadIdMarker") or "")
        # Some services do not heed the prefix, and what is found here may be aborted.
        return [each for each in found if each.key.startswith(prefix) and each.upload], following

    return Paged(page, lambda: odd("its list leads to the same page again"))


def _get(requests: S3Requests, query: dict[str, str], tag: str, prefix: str) -> Element:
    reply = requests.send("GET", "", query, "list", about=prefix)
    return requests.read_xml(reply, tag, prefix, "list")


def _following(root: Element, name: str, odd: Callable[[str], StoreError]) -> str:
    if root.findtext("{*}IsTruncated") != "true":
        return ""
    following = root.findtext("{*}" + name) or ""
    if not following:
        raise odd("it does not say how its list goes on")
    return following


def _object(item: Element, *, encoded: bool) -> ObjectInfo:
    said = _texts(item)
    key = said.get("Key", "")
    return ObjectInfo(
        key=unquote_plus(key) if encoded else key,
        size=int(said.get("Size") or 0),
        etag=said.get("ETag", ""),
        last_modified=_time(said.get("LastModified", "")),
    )


def _texts(item: Element) -> dict[str, str]:
    """What the children of an element say, by their names without namespace. `findtext` takes four times as long."""
    return {child.tag.rpartition("}")[2]: child.text or "" for child in item}


def _time(text: str) -> float:
    return datetime.fromisoformat(text or "1970-01-01T00:00:00Z").timestamp()
