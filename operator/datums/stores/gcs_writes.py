"""Writing by Google's JSON API, which says what it has made of the bytes: whole objects, and objects in parts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec

from datums.stores import errors
from datums.stores.bucket import Bucket
from datums.stores.checksums import as_base64, crc32c
from datums.stores.gcs_codes import NO_BUCKET
from datums.stores.gcs_crc32c import join, measure, parse
from datums.stores.gcs_json import JsonAPI, read
from datums.stores.wire import Reply, Request

if TYPE_CHECKING:
    from typing_extensions import Buffer

_DESCRIPTION = "size,crc32c,generation"


class _Made(msgspec.Struct):
    """An object as the service describes it."""

    size: str = ""
    crc32c: str = ""
    generation: str = ""


class Writes:
    """Of one bucket. What the service says of an object is compared with what was sent.

    Args:
        bucket: for what its errors say.
    """

    def __init__(self, api: JsonAPI, bucket: Bucket) -> None:
        self._api = api
        self._bucket = bucket

    def request(self, key: str, data: Buffer, *, if_absent: bool) -> Request:
        """Writes one object.

        Args:
            if_absent: the service refuses it where the key is taken.
        """
        boundary = token_hex(16)
        described = f"Content-Type: application/json\r\n\r\n{json.dumps({'name': key})}"
        head = f"--{boundary}\r\n{described}\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        condition = {"ifGenerationMatch": "0"} if if_absent else {}
        return self._api.request(
            "POST",
            self._api.upload(uploadType="multipart", fields=_DESCRIPTION, **condition),
            key,
            body=(head.encode(), data, f"\r\n--{boundary}--\r\n".encode()),
            headers={"content-type": f"multipart/related; boundary={boundary}"},
            once=if_absent,
        )

    def written(self, request: Request, reply: Reply, key: str) -> str:
        """The object's generation.

        Raises:
            Changed: it was to be written only if the key is free.
            StoreError: it was not written, or not as it was sent.
        """
        made = self._read(key, self._api.checked(reply, key, "write"))
        assert isinstance(request.body, tuple)
        _, data, _ = request.body
        if made.crc32c != as_base64(crc32c(data)):
            # This very generation, which nobody else has written.
            with suppress(errors.StoreError):
                self._api.send(self._api.request("DELETE", self._api.object(key, generation=made.generation), key), key, "remove")
            raise self._bucket.error(errors.Unavailable, key, "arrived other than it was sent")
        return made.generation

    def begin(self, key: str) -> str:
        """Begins a resumable session, and returns its URL."""
        headers = {"content-type": "application/json", "x-upload-content-type": "application/octet-stream"}
        url = self._api.upload(uploadType="resumable", name=key)
        request = self._api.request("POST", url, key, body=b"{}", headers=headers, once=True)
        reply = self._api.send(request, key, "write", missing=NO_BUCKET)
        session = reply.headers.get("location", "")
        if not session:
            raise self._bucket.odd(key, "an upload without a Location")
        return session

    def put_part(self, key: str, session: str, data: Buffer, offset: int, size: int) -> str:
        """One part, and its tag. The last one makes the object appear."""
        piece = measure(data)
        end = offset + piece.size
        # A part that was sent before is sent whole: Google passes over the bytes that it has.
        within = f"{offset}-{end - 1}" if piece.size else "*"
        headers = {"content-range": f"bytes {within}/{size}", "content-type": "application/octet-stream"}
        # A session's URL is its own credential.
        request = Request("PUT", self._api.session(session), headers, data)
        try:
            reply = self._api.send(request, key, "write", expected=(200, 201, 308))
        except errors.NotFound:
            if end == size and self._has(key, size):
                return str(piece)  # sent before, and its answer was lost; `compare` judges
            raise self._lost(key) from None
        if reply.status == 308:
            kept = _kept(reply)
            if kept < offset:
                raise self._lost(key)
            if kept < end or end == size:
                raise self._bucket.error(errors.Unavailable, key, f"was kept up to byte {kept} of {end} that were sent")
        return str(piece)

    def compare(self, key: str, tags: Sequence[str]) -> None:
        """Compares an object with the tags of all its parts.

        Raises:
            NotFound: it is not there, as after an upload that was not sent to its end.
            Corrupt: it is another.
        """
        sent, made = join(map(parse, tags)), self._described(key)
        if (int(made.size), made.crc32c) != (sent.size, as_base64(sent.crc32c)):
            what = f"is not what was sent: {made.size} bytes instead of {sent.size}, or others"
            raise self._bucket.error(errors.Corrupt, key, what)

    def abort(self, key: str, session: str) -> None:
        """Ends a session; one that is not there is no error."""
        # 499 is Google's answer to it.
        gone = (200, 204, 404, 410, 499)
        self._api.send(Request("DELETE", self._api.session(session), {}), key, "remove", expected=gone)

    def _described(self, key: str) -> _Made:
        url = self._api.object(key, fields=_DESCRIPTION)
        return self._read(key, self._api.send(self._api.request("GET", url, key), key, "read"))

    def _has(self, key: str, size: int) -> bool:
        try:
            return self._described(key).size == str(size)
        except errors.NotFound:
            return False

    def _read(self, key: str, reply: Reply) -> _Made:
        made = read(reply, _Made)
        if made is None or not (made.size.isdecimal() and made.crc32c and made.generation):
            raise self._bucket.odd(key, "an object without a description")
        return made

    def _lost(self, key: str) -> errors.StoreError:
        return self._bucket.error(errors.NotFound, key, "is no longer being written: the upload has ended, and must begin anew")


def _kept(reply: Reply) -> int:
    """How many bytes of an upload Google has, as `Range: bytes=0-<last>` says; without it none."""
    _, _, last = reply.headers.get("range", "").rpartition("-")
    return int(last) + 1 if last.isdecimal() else 0
