"""Azure's SDK, for what obstore has no form for: the list with verbatim keys, and the blocks of an upload. Each request once."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import AzureError, DecodeError, DeserializationError, HttpResponseError, ServiceRequestError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobBlock, BlobProperties, ContainerClient
from requests import Session
from requests.adapters import HTTPAdapter

from datums.model.plan import StoreAccess
from datums.stores.answers import Answer
from datums.stores.azure_key import Credential
from datums.stores.clients import CONNECT_SECONDS, SILENCE_SECONDS, USER_AGENT
from datums.stores.errors import StoreError
from datums.stores.protocol import ObjectInfo

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PAGE: Final = 5000  # the most that Azure gives
_SPARE: Final = 8
_DIRECTORY: Final = "hdi_isfolder"
Fail = Callable[[Answer, str], StoreError]
"""From an answer, and all that was said."""


class Container:
    """One container.

    Args:
        url: of the service.
    """

    def __init__(self, access: StoreAccess, credential: Credential, url: str) -> None:
        self._over_tls = url.startswith("https:")
        self._name = access.bucket
        self._client = ContainerClient(
            url, access.bucket, credential=_credential(access, credential), transport=_transport(access), **_once()
        )

    def page(self, prefix: str, token: str, fail: Fail) -> tuple[list[ObjectInfo], str]:
        """Some objects whose keys begin with `prefix`, and what leads to those that follow; `""` at the end."""
        listing = self._client.list_blobs(prefix, include=["metadata"], results_per_page=_PAGE)
        pages = cast("Any", listing.by_page(token or None))
        with _calling(fail):
            found = [_info(blob) for blob in next(pages, [])]
        if pages.container != self._name:  # any other document reads as an empty list
            raise fail(Answer(network="Got invalid list"), "")
        return found, pages.continuation_token or ""

    def put_block(self, key: str, name: str, data: Buffer, fail: Fail) -> None:
        """Keeps one block of an object. All names of an object's blocks must be of one length."""
        whole = data if isinstance(data, bytes) else bytes(data)
        with _calling(fail):
            # Over TLS nothing changes on the way, and an MD5 would take longer than the way; over plain http it is needed.
            self._client.get_blob_client(key).stage_block(_id(name), whole, len(whole), validate_content=not self._over_tls)

    def commit(self, key: str, names: Sequence[str], fail: Fail) -> None:
        """Makes the object of its blocks. The same again does the same."""
        with _calling(fail):
            self._client.get_blob_client(key).commit_block_list([BlobBlock(block_id=_id(name)) for name in names])


class _Trusting(HTTPAdapter):
    """Trusts the authorities of a bundle besides the public ones."""

    def __init__(self, bundle: str, connections: int) -> None:
        self._context = ssl.create_default_context()
        # Authorities of one's own often lack what RFC 5280 asks for; obstore takes them, too.
        self._context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if bundle:
            self._context.load_verify_locations(cadata=bundle)
        super().__init__(pool_connections=2, pool_maxsize=connections + _SPARE, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, **options, ssl_context=self._context)


def _transport(access: StoreAccess) -> RequestsTransport:
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Trusting(access.ca_bundle, access.concurrency))
    if access.proxy:
        session.trust_env = False
        session.proxies = {"http": access.proxy, "https": access.proxy}
    return RequestsTransport(session=session, session_owner=False, connection_timeout=CONNECT_SECONDS, read_timeout=SILENCE_SECONDS)


def _once() -> dict[str, Any]:
    return {"retry_total": 0, "permit_redirects": False, "user_agent": USER_AGENT}


def _credential(access: StoreAccess, credential: Credential) -> Any:
    if credential.key:
        return AzureNamedKeyCredential(access.account, credential.key)
    if credential.sas:
        return AzureSasCredential(credential.sas)
    if credential.secret:
        from azure.identity import ClientSecretCredential  # noqa: PLC0415  twice as much to import

        return ClientSecretCredential(
            credential.tenant,
            credential.client,
            credential.secret,
            authority=credential.login,
            disable_instance_discovery=True,  # it would ask the public cloud about a private login service
            transport=_transport(access),
            **_once(),
        )
    return None


@contextmanager
def _calling(fail: Fail) -> Iterator[None]:
    # `from None`: what the SDK says is long, and may hold a SAS token.
    try:
        yield
    except (DecodeError, DeserializationError):
        raise fail(Answer(network="Got invalid answer"), "") from None
    except HttpResponseError as error:
        if error.status_code is None:  # the login service could not be asked
            raise fail(Answer(network=f"Connect {error.message}"), error.message) from None
        code = getattr(error, "error_code", None) or ""
        answer = Answer(
            status=error.status_code,
            code=str(getattr(code, "value", code)),  # an enumeration of the codes that the SDK knows
            message=error.message,
            retry_after=_retry_after(error),
        )
        raise fail(answer, str(error)) from None
    except ServiceRequestError as error:
        raise fail(Answer(network=f"Connect {error.message}"), error.message) from None
    except AzureError as error:
        raise fail(Answer(network=error.message), error.message) from None


def _retry_after(error: HttpResponseError) -> float:
    headers = getattr(error.response, "headers", {})
    said = str(headers.get("Retry-After", ""))
    return float(said) if said.isdecimal() else 0.0


def _info(blob: BlobProperties) -> ObjectInfo:
    # An account with a hierarchical namespace lists its directories, by a name without a slash, beside what is in them.
    directory = (blob.metadata or {}).get(_DIRECTORY) == "true" and not blob.size
    modified = blob.last_modified.timestamp() if blob.last_modified else 0.0
    etag = blob.etag or ""
    return ObjectInfo(
        key=f"{blob.name}/" if directory else blob.name,
        size=blob.size or 0,
        etag=f'"{etag}"' if etag and not etag.startswith('"') else etag,  # the list leaves out the quotes
        last_modified=modified,
        version=blob.version_id or "",
    )


def _id(name: str) -> str:
    return b64encode(name.encode()).decode()
