"""Azure Blob Storage."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from secrets import token_hex
from typing import TYPE_CHECKING, ClassVar, Final

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer
from datums.stores.azure_codes import AZURE_CODES, NO_BUCKET
from datums.stores.azure_key import Credential, credential_of
from datums.stores.http_bucket import HTTPBucket
from datums.stores.listing import Keys, Paged
from datums.stores.protocol import ObjectInfo, PendingUpload

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from datums.stores.azure_requests import AzureRequests

_UNKEPT: Final = re.compile(r"\\|\.(?:/|$)")


class AzureStore(HTTPBucket):
    """One container. An upload is a random name that its blocks' names begin with: nothing is sent to begin one."""

    version_query = "versionid"
    version_header = "x-ms-version-id"
    most_parts: ClassVar[int] = 50_000

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        super().__init__(access, AZURE_CODES)
        self._url = service_url("azure", endpoint=access.endpoint, account=access.account)
        self._wrong = ""
        """What is wrong with the Secret, said at the first call."""
        self._credential = Credential()
        if not access.anonymous:
            try:
                self._credential = credential_of(credentials, self._url)
            except ValueError as error:
                self._wrong = str(error)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        from datums.stores import azure_listing  # noqa: PLC0415

        self.allow(prefix, "list")
        odd = partial(self.odd, prefix)
        # The order is Azure's own where the account has a hierarchical namespace.
        keys = Keys(prefix, odd, sorted_keys=False)

        def page(marker: str) -> tuple[list[ObjectInfo], str]:
            found, following = azure_listing.page(self.requests, prefix, marker)
            return keys.checked(found), following

        return Paged(page, lambda: odd("its list leads to the same page again"))

    def begin_upload(self, key: str) -> str:
        self.allow(key, "write")
        return token_hex(8)

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        self.allow(key, "write")
        tag = f"{upload}-{number:06}"  # all names of an object's blocks must be of one length
        reply = self.requests.send("PUT", key, {"comp": "block", "blockid": _block(tag)}, "write", body=data)
        if reply.status != 201:
            raise self.requests.odd(key, "write")
        return tag

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        """Makes the object of its blocks. The same again does the same."""
        blocks = "".join(f"<Latest>{_block(tag)}</Latest>" for tag in tags)
        document = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{blocks}</BlockList>'.encode()
        headers = {"content-type": "application/xml", "x-ms-blob-content-type": "application/octet-stream"}
        reply = self.requests.send("PUT", key, {"comp": "blocklist"}, "write", headers=headers, body=document, is_patient=True)
        if not reply.headers.get("etag"):
            raise self.requests.odd(key, "write")

    def abort_upload(self, key: str, upload: str) -> None:
        """Nothing to send: Azure removes blocks of which no object is made, after a week and when the key is written."""

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """None: Azure tells blocks without an object by key only, and has no way to remove them that makes no object."""
        return iter(())

    @cached_property
    def requests(self) -> AzureRequests:
        # Here, for a store that is not used need not pay for an HTTP client.
        from datums.stores.azure_requests import AzureRequests  # noqa: PLC0415

        return AzureRequests(self._access, self._url, self._credential, self)

    def allow(self, key: str, doing: str) -> None:
        super().allow(key, doing)
        if self._wrong:
            raise errors.AccessDenied(f"DataStore {self.name}: {self._wrong}", store=self.name, key=key)
        if self._access.anonymous and doing in ("write", "remove"):
            raise self.only_reads(key)

    def check_key(self, key: str) -> None:
        super().check_key(key)
        if _UNKEPT.search(key):
            raise errors.UnsupportedKey(
                f"DataStore {self.name}: the key {key!r} cannot be used: Azure keeps no backslash and no dot at the end of a "
                "segment as it is; rename the object",
                store=self.name,
                key=key,
            )

    def failed(self, answer: Answer, key: str, doing: str) -> errors.StoreError:
        if answer.status == 404 and not answer.foreign and not answer.code and doing == "write":
            answer = answer._replace(code=NO_BUCKET)  # to a write, nothing else is "not found"
        error = super().failed(answer, key, doing)
        if answer.network and "cannot be looked up" in str(error) and not self._access.endpoint:
            return errors.EndpointUnreachable(
                f"DataStore {self.name}: the name of {self._url} cannot be looked up, as where there is no storage account "
                f"{self._access.account!r}: correct spec.azure.account",
                store=self.name,
                key=key,
            )
        return error


def _block(tag: str) -> str:
    return b64encode(tag.encode()).decode()
