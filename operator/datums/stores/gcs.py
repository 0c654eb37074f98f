"""Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import msgspec

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer
from datums.stores.gcs_codes import GCS_CODES, NO_BUCKET
from datums.stores.gcs_key import service_account
from datums.stores.http_bucket import HTTPBucket
from datums.stores.http_reading import Reading
from datums.stores.listing import Keys, Paged
from datums.stores.protocol import ObjectInfo, PendingUpload

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.gcs_requests import GCSRequests

_PART_UNIT: Final = 256 << 10  # all parts but the last are a multiple of it


class _Object(msgspec.Struct):
    name: str
    size: str
    generation: str = ""
    updated: datetime | None = None


class _Page(msgspec.Struct, rename="camel"):
    kind: str = ""
    items: list[_Object] = []
    next_page_token: str = ""


class GCSStore(HTTPBucket):
    """One bucket. An object is pinned by its generation; the list tells no ETag, for that of the JSON API is another."""

    version_query = "generation"
    version_header = "x-goog-generation"
    parts_in_order = True

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        super().__init__(access, GCS_CODES)
        self._wrong = ""
        """What is wrong with the Secret, said at the first call."""
        self._key: dict[str, str] | None = None
        if not access.anonymous:
            try:
                self._key = service_account(credentials)
            except ValueError as error:
                self._wrong = str(error)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.allow(prefix, "list")
        from datums.stores.gcs_json import read  # noqa: PLC0415

        odd = partial(self.odd, prefix)
        query = {"prefix": prefix, "fields": "kind,nextPageToken,items(name,size,generation,updated)"}
        keys = Keys(prefix, odd, sorted_keys=not self._access.endpoint)
        json = self.requests.json

        def page(token: str) -> tuple[list[ObjectInfo], str]:
            target = json.objects(**query, **({"pageToken": token} if token else {}))
            found = read(json.send(json.request("GET", target, prefix), prefix, "list", missing=NO_BUCKET), _Page)
            if found is None or found.kind != "storage#objects":
                raise odd("its list is none")
            return keys.checked([_info(item) for item in found.items]), found.next_page_token

        return Paged(page, lambda: odd("its list leads to the same page again"))

    def part_size(self, size: int) -> int:
        return -(-super().part_size(size) // _PART_UNIT) * _PART_UNIT

    def begin_upload(self, key: str) -> str:
        self.allow(key, "write")
        return self.requests.writes.begin(key)

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        return self.requests.writes.put_part(key, upload, data, offset, size)

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """The last part has made the object appear; what it is made of is compared here."""
        self.requests.writes.compare(key, tags)

    def abort_upload(self, key: str, upload: str) -> None:
        self.requests.writes.abort(key, upload)

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """None: Google shows no sessions, and ends them after a week."""
        return iter(())

    @cached_property
    def requests(self) -> GCSRequests:
        # Here, for a store that is not used need not pay for an HTTP client.
        from datums.stores.gcs_requests import GCSRequests  # noqa: PLC0415
        from datums.stores.gcs_token import Token  # noqa: PLC0415

        return GCSRequests(self._access, self, Token(self._key) if self._key else None)

    def allow(self, key: str, doing: str) -> None:
        super().allow(key, doing)
        if self._wrong:
            from datums.stores.gcs_requests import wrong_secret  # noqa: PLC0415

            raise wrong_secret(self, self._wrong, key)
        if self._access.anonymous and doing in ("write", "remove"):
            raise self.only_reads(key)

    def not_found(self, error: errors.NotFound, key: str, version: str) -> errors.StoreError:
        # A generation that was replaced is not there; the object is.
        return self.failed(Answer(status=412), key, "read") if version and self._exists(key) else error

    def _reading(self, key: str, offset: int, length: int | None, etag: str, version: str) -> Reading:
        return super()._reading(key, offset, length, "" if version else etag, version)


def _info(item: _Object) -> ObjectInfo:
    modified = item.updated.timestamp() if item.updated else 0.0
    return ObjectInfo(item.name, int(item.size or 0), "", modified, item.generation)
