"""Azure Blob Storage: the bytes by obstore, the list and uploads in blocks by Azure's SDK."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from secrets import token_hex
from time import time
from typing import TYPE_CHECKING, ClassVar, Final

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore as Obstore

from datums.model.places import service_url
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, other_protocol, read_answer
from datums.stores.azure_codes import AZURE_CODES, NO_BUCKET, refine
from datums.stores.azure_key import Credential, credential_of
from datums.stores.clients import ONE_TRY, client_options
from datums.stores.listing import Keys, Paged
from datums.stores.obstore_bucket import ObstoreBucket
from datums.stores.protocol import ObjectInfo, PendingUpload

if TYPE_CHECKING:
    from obstore.store import AzureConfig
    from typing_extensions import Buffer

    from datums.stores.azure_sdk import Container, Fail

_UNKEPT: Final = re.compile(r"\\|\.(?:/|$)")


class AzureStore(ObstoreBucket):
    """One container. An upload is a random name that its blocks' names begin with: nothing is sent to begin one."""

    most_parts: ClassVar[int] = 50_000

    def __init__(self, access: StoreAccess, credentials: Mapping[str, str]) -> None:
        self._url = service_url("azure", endpoint=access.endpoint, account=access.account)
        self._wrong = ""
        """What is wrong with the Secret, said at the first call."""
        self._credential = Credential()
        if not access.anonymous:
            try:
                self._credential = credential_of(credentials, self._url)
            except ValueError as error:
                self._wrong = str(error)
        super().__init__(access, _open(access, self._url, self._credential), AZURE_CODES)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self._check_access(prefix, "list")
        fail = self._fail(prefix, "list")
        # The order is Azure's own where the account has a hierarchical namespace.
        keys = Keys(prefix, self._odd(prefix), sorted_keys=False)

        def page(token: str) -> tuple[list[ObjectInfo], str]:
            found, following = self._container.page(prefix, token, fail)
            return keys.checked(found), following

        return Paged(page, lambda: self._odd(prefix)("its list leads to the same page again"))

    def delete(self, key: str) -> None:
        with suppress(errors.NotFound):
            super().delete(key)

    def begin_upload(self, key: str) -> str:
        self.check_key(key)
        self._check_access(key, "write")
        return token_hex(8)

    def put_part(self, key: str, upload: str, number: int, data: Buffer, *, offset: int, size: int) -> str:
        self._check_access(key, "write")
        tag = f"{upload}-{number:06}"
        self._container.put_block(key, tag, data, self._fail(key, "write"))
        return tag

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        self._container.commit(key, tags, self._fail(key, "write"))

    def abort_upload(self, key: str, upload: str) -> None:
        """Nothing to send: Azure removes blocks of which no object is made, after a week and when the key is written."""

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """None: Azure tells blocks without an object by key only, and has no way to remove them that makes no object."""
        return iter(())

    def check_key(self, key: str) -> None:
        super().check_key(key)
        if _UNKEPT.search(key):
            raise errors.UnsupportedKey(
                f"DataStore {self.name}: the key {key!r} cannot be used: Azure keeps no backslash and no dot at the end of a "
                "segment as it is; rename the object",
                store=self.name,
                key=key,
            )

    @contextmanager
    def calling(self, key: str, doing: str) -> Iterator[None]:
        self.check_key(key)
        self._check_access(key, doing)
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(key) from None
        except (BaseError, FileNotFoundError) as error:
            text = str(error)
            raise self._fail(key, doing)(read_answer(text), text) from None

    def failed(self, answer: Answer, key: str, doing: str) -> errors.StoreError:
        if answer.status == 404 and not answer.foreign and not answer.code and doing == "write":
            answer = answer._replace(code=NO_BUCKET)  # to a write, nothing else is "not found"
        error = super().failed(answer, key, doing)
        if answer.network and "cannot be looked up" in str(error) and not self._access.endpoint:
            return self._unreachable(
                key,
                f"the name of {self._url} cannot be looked up, as where there is no storage account {self._access.account!r}: "
                "correct spec.azure.account",
            )
        return error

    @cached_property
    def _container(self) -> Container:
        # Here, for it costs half a second to import: what neither lists nor sends parts need not pay for it.
        from datums.stores.azure_sdk import Container  # noqa: PLC0415

        return Container(self._access, self._credential, self._url)

    def _odd(self, prefix: str) -> Callable[[str], errors.StoreError]:
        return partial(other_protocol, self.target(prefix), self._codes)

    def _fail(self, key: str, doing: str) -> Fail:
        def failed(answer: Answer, text: str) -> errors.StoreError:
            login = self._credential
            if answer.network and login.tenant and f"/{login.tenant}/" in text:
                return self._unreachable(key, f"{login.login}, which gives the tokens for {self._url}, cannot be reached")
            known = refine(answer, text, anonymous=self._access.anonymous, expired=self._expired)
            return self.failed(known, key, doing)

        return failed

    def _unreachable(self, key: str, what: str) -> errors.StoreError:
        return errors.EndpointUnreachable(f"DataStore {self.name}: {what}", store=self.name, key=key)

    @property
    def _expired(self) -> bool:
        return self._credential.sas_expires < time()

    def _check_access(self, key: str, doing: str) -> None:
        if self._wrong:
            raise errors.AccessDenied(f"DataStore {self.name}: {self._wrong}", store=self.name, key=key)
        if self._access.anonymous and doing in ("write", "remove"):
            raise self._error(
                errors.AccessDenied,
                key,
                "cannot be written: spec.credentials.anonymous only reads; name a Secret in spec.credentials.secretRef",
            )


def _open(access: StoreAccess, url: str, credential: Credential) -> Obstore:
    # The type is given, for obstore would look for others in the environment.
    config: AzureConfig = {"account_name": access.account, "endpoint": url}
    if credential.key:
        config |= {"credential_type": "access_key", "account_key": credential.key}
    elif credential.sas:
        config |= {"credential_type": "sas_token", "sas_key": credential.sas}
    elif credential.secret:
        config |= {
            "credential_type": "client_secret",
            "tenant_id": credential.tenant,
            "client_id": credential.client,
            "client_secret": credential.secret,
            "authority_host": credential.login,
        }
    else:
        config["skip_signature"] = True
    return Obstore(access.bucket, config=config, client_options=client_options(access), retry_config=ONE_TRY)
