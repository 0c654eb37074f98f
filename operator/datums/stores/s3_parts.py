"""Large objects in parts: S3's multipart uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from datums.stores import errors
from datums.stores.checksums import as_base64, crc32c
from datums.stores.protocol import ObjectInfo, SentPart
from datums.stores.s3_requests import BETWEEN, S3Requests

if TYPE_CHECKING:
    from typing_extensions import Buffer


def begin(requests: S3Requests, key: str) -> str:
    """The upload's id."""
    # A service that is told of no algorithm here may refuse the parts' checksums.
    headers = {"x-amz-checksum-algorithm": "CRC32C"} if requests.checksums else {}
    reply = requests.send("POST", key, {"uploads": ""}, "write", headers=headers, once=True)
    upload = requests.read_xml(reply, "InitiateMultipartUploadResult", key, "write").findtext("{*}UploadId")
    if not upload:
        raise requests.odd(key, "write")
    return upload


def put(requests: S3Requests, key: str, upload: str, number: int, data: Buffer) -> str:
    """The part's tag."""
    return requests.put_part(key, {"partNumber": str(number), "uploadId": upload}, data)


def sent(requests: S3Requests, key: str, upload: str) -> dict[int, SentPart]:
    """The parts that have arrived."""
    found: dict[int, SentPart] = {}
    marker = "0"
    while marker:
        reply = requests.send("GET", key, {"uploadId": upload, "part-number-marker": marker}, "read")
        root = requests.read_xml(reply, "ListPartsResult", key, "read")
        for item in root.iterfind("{*}Part"):
            if etag := item.findtext("{*}ETag"):
                found[int(item.findtext("{*}PartNumber") or 0)] = SentPart(int(item.findtext("{*}Size") or 0), etag)
        following = root.findtext("{*}NextPartNumberMarker") or "" if root.findtext("{*}IsTruncated") == "true" else ""
        if following and int(following) <= int(marker):
            raise requests.odd(key, "read")
        marker = following
    return found


def tag_of(requests: S3Requests, part: SentPart, data: Buffer) -> str:
    """The tag of a part that has arrived. Its checksum is of the bytes here, for not every service lists it: if those that have
    arrived are others, the upload cannot be finished."""
    return f"{part.listed}{BETWEEN}{as_base64(crc32c(data))}" if requests.checksums else part.listed


def finish(requests: S3Requests, key: str, upload: str, tags: Sequence[str], head: Callable[[str], ObjectInfo]) -> None:
    """Makes the object of its parts.

    Args:
        head: what the service says of an object, to see whether an answer was lost.
    """
    try:
        reply = requests.send("POST", key, {"uploadId": upload}, "write", body=_document(tags), is_patient=True, once=True)
        # The service says 200 before it begins, and may find out afterwards that it cannot.
        requests.read_xml(reply, "CompleteMultipartUploadResult", key, "write")
    except errors.NotFound:
        if not _is_finished(key, tags, head):
            raise


def abort(requests: S3Requests, key: str, upload: str) -> None:
    """Throws the parts away."""
    with suppress(errors.NotFound):
        requests.send("DELETE", key, {"uploadId": upload}, "abort the upload of")


def _document(tags: Sequence[str]) -> bytes:
    parts = []
    for number, tag in enumerate(tags, start=1):
        etag, _, checksum = tag.partition(BETWEEN)
        crc = f"<ChecksumCRC32C>{escape(checksum)}</ChecksumCRC32C>" if checksum else ""
        parts.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>{crc}</Part>")
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<CompleteMultipartUpload xmlns="{space}">{"".join(parts)}</CompleteMultipartUpload>'.encode()


def _is_finished(key: str, tags: Sequence[str], head: Callable[[str], ObjectInfo]) -> bool:
    # An ETag of parts is the MD5 of the parts' MD5s, with their number; where the parts' are none (with a key of KMS, say), nothing
    # can be told.
    try:
        whole = hashlib.md5(b"".join(bytes.fromhex(tag.partition(BETWEEN)[0].strip('"')) for tag in tags), usedforsecurity=False)
    except ValueError:
        return False
    with suppress(errors.NotFound):
        return head(key).etag.strip('"') == f"{whole.hexdigest()}-{len(tags)}"
    return False
