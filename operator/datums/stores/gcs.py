"""Google Cloud Storage: the bytes by obstore (the XML API), the list and uploads in parts by the JSON API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import msgspec
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import GCSStore as Obstore

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, other_protocol
from datums.stores.clients import ONE_TRY, client_options
from datums.stores.gcs_codes import GCS_CODES, NO_BUCKET, read_text
from datums.stores.gcs_key import KEY, service_account
from datums.stores.listing import Keys, Paged
from datums.stores.obstore_bucket import ObstoreBucket
from datums.stores.protocol import ObjectInfo, PendingUpload

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ClientConfig, GCSConfig
    from typing_extensions import Buffer

    from datums.stores.gcs_json import Fail, JsonAPI
    from datums.stores.gcs_writes import Writes

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


class GCSStore(ObstoreBucket):
    """One bucket. An object is pinned by its generation; the list tells no ETag, for that of the JSON API is another."""

    parts_in_order = True

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        self._wrong = ""
        """What is wrong with the Secret, said at the first call."""
        self._key: dict[str, str] | None = None
        if not access.anonymous:
            try:
                self._key = service_account(credentials)
            except ValueError as error:
                self._wrong = str(error)
        try:
            opened = _open(access, self._key)
        except BaseError:
            # `from None` and no word of the cause: it may quote the key.
            self._wrong = f"the private_key in {KEY} is no key in PEM form"
            self._key = None
            opened = _open(access, None)
        super().__init__(access, opened, GCS_CODES)
        self._put_by_json = False

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # Here, for a pod that lists nothing need not pay for a second HTTP client.
        from datums.stores.gcs_json import read  # noqa: PLC0415

        self._check_access(prefix, "list")
        fail = self._fail(prefix, "list", missing=NO_BUCKET)
        odd = partial(other_protocol, self.target(prefix), self._codes)
        query = {"prefix": prefix, "fields": "kind,nextPageToken,items(name,size,generation,updated)"}
        keys = Keys(prefix, odd, sorted_keys=not self._access.endpoint)

        def page(token: str) -> tuple[list[ObjectInfo], str]:
            target = self._json.objects(**query, **({"pageToken": token} if token else {}))
            found = read(self._json.send("GET", target, fail), _Page)
            if found is None or found.kind != "storage#objects":
                raise odd("its list is none")
            return keys.checked([_info(item) for item in found.items]), found.next_page_token

        return Paged(page, lambda: odd("its list leads to the same page again"))

    def delete(self, key: str) -> None:
        with suppress(errors.NotFound):
            super().delete(key)

    def part_size(self, size: int) -> int:
        return -(-super().part_size(size) // _PART_UNIT) * _PART_UNIT

    def begin_upload(self, key: str) -> str:
        self.check_key(key)
        self._check_access(key, "write")
        return self._writes.begin(key)

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        return self._writes.put_part(key, upload, data, offset, size)

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """The last part has made the object appear; what it is made of is compared here."""
        self._writes.compare(key, tags)

    def abort_upload(self, key: str, upload: str) -> None:
        self._writes.abort(key, upload)

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """None: Google shows no sessions, and ends them after a week."""
        return iter(())

    @contextmanager
    def calling(self, key: str, doing: str) -> Iterator[None]:
        self.check_key(key)
        self._check_access(key, doing)
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(key) from None
        except (BaseError, FileNotFoundError) as error:
            # To a write, only a missing bucket is "not found".
            fail = self._fail(key, doing, missing=NO_BUCKET if doing == "write" else "")
            raise fail(read_text(str(error))) from None

    def _get(self, key: str, offset: int, length: int | None, etag: str, version: str) -> GetResult:
        try:
            return super()._get(key, offset, length, "" if version else etag, version)
        except FileNotFoundError:
            if version and self._exists(key):
                raise self.failed(Answer(status=412), key, "read") from None
            raise

    def _write(self, key: str, data: Buffer, *, if_absent: bool) -> None:
        if not self._put_by_json:
            try:
                return super()._write(key, data, if_absent=if_absent)
            except errors.StoreError as error:
                # Only what says "bad request", and never Google itself, whose XML API is there.
                if type(error) not in (errors.StoreError, errors.NotSupported) or not self._access.endpoint:
                    raise
        self.check_key(key)
        self._check_access(key, "write")
        try:
            self._writes.put(key, data, if_absent=if_absent)
        except errors.Changed:
            raise self._taken(key) from None
        self._put_by_json = True
        return None

    @cached_property
    def _json(self) -> JsonAPI:
        from datums.stores.gcs_json import JsonAPI  # noqa: PLC0415

        return JsonAPI(self._access, self._key)

    @cached_property
    def _writes(self) -> Writes:
        from datums.stores.gcs_writes import Writes  # noqa: PLC0415

        return Writes(self._json, self._fail, self.target)

    def _fail(self, key: str, doing: str, missing: str = "") -> Fail:
        """What makes an error of an answer.

        Args:
            missing: the code that a plain 404 stands for.
        """

        def failed(answer: Answer) -> errors.StoreError:
            if answer.status == 410:  # a session that has ended
                answer = answer._replace(status=404)
            if missing and answer.status == 404 and not answer.foreign:
                answer = answer._replace(code=missing)
            return self.failed(answer, key, doing)

        return failed

    def _check_access(self, key: str, doing: str) -> None:
        if self._wrong:
            raise self._secret_error(key)
        if self._access.anonymous and doing in ("write", "remove"):
            # obstore leaves out the signature of reads only: for a write it would ask the machine it runs on for its identity.
            raise self._error(
                errors.AccessDenied,
                key,
                "cannot be written: spec.credentials.anonymous only reads; name a Secret in spec.credentials.secretRef",
            )

    def _secret_error(self, key: str) -> errors.StoreError:
        return errors.AccessDenied(
            f"DataStore {self.name}: {self._wrong}: put the service account's key file there, whole, by "
            f"`kubectl create secret generic <name> --from-file={KEY}=<key file>`",
            store=self.name,
            key=key,
        )


def _open(access: StoreAccess, key: Mapping[str, str] | None) -> Obstore:
    config: GCSConfig = {"base_url": service_url("gcs", endpoint=access.endpoint)}
    if key is None:
        config["skip_signature"] = True
    else:
        config["service_account_key"] = json.dumps(key)
    options: ClientConfig = client_options(access)
    # Else Google unpacks objects that are stored with `Content-Encoding: gzip`, and gives other bytes than it counts.
    options["default_headers"] = {"Accept-Encoding": "gzip"}
    return Obstore(access.bucket, config=config, client_options=options, retry_config=ONE_TRY)


def _info(item: _Object) -> ObjectInfo:
    modified = item.updated.timestamp() if item.updated else 0.0
    return ObjectInfo(item.name, int(item.size or 0), "", modified, item.generation)
