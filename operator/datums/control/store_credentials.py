"""What the Secret of a DataStore must hold, by provider, and what of it is handed on. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from datums.api.reasons import StoreNotReady
from datums.control.cache import Obj
from datums.control.store_places import name_of, place_of, spec_of
from datums.model.places import Kind

SERVICE_ACCOUNT: Final = "service-account.json"
_AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AZURE_WAYS: Final = (
    ("AZURE_STORAGE_KEY",),
    ("AZURE_STORAGE_SAS_TOKEN",),
    ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
)
"""The first that is complete is used."""
_AZURE_LOGIN: Final = "AZURE_AUTHORITY_HOST"
"""Beside those of a client: who gives its tokens, where that is not the login service of the endpoint's cloud."""
_NO_SECRET: Final = frozenset({"AZURE_TENANT_ID", "AZURE_CLIENT_ID", _AZURE_LOGIN})


class StoreSetupError(Exception):
    """The Kubernetes objects beside a DataStore do not let it be used. `reason` is one of `api.reasons.StoreNotReady`."""

    def __init__(self, reason: StoreNotReady, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _KeyFile(msgspec.Struct):
    client_email: str
    private_key: str


def credentials_of(store: Obj, secret: Obj) -> dict[str, str]:
    """The credentials in a DataStore's Secret, by the names of its keys; other keys of the Secret are left where they are.

    Raises:
        StoreSetupError: a key is missing, empty or not what it must be.
    """
    kind: Kind = place_of(spec_of(store)).kind
    match kind:
        case "s3" | "ovh" | "oracle":
            return _aws(store, secret)
        case "gcs":
            return _gcs(store, secret)
        case "azure":
            return _azure(store, secret)


def secrets_in(credentials: Mapping[str, str]) -> Iterator[str]:
    """The parts of credentials that must not be seen anywhere, each on one line."""
    for key, value in credentials.items():
        if key == SERVICE_ACCOUNT:
            # By lines, for in a log the key is on one line or on many.
            yield from (line for line in _key_file(value).private_key.splitlines() if line and not line.startswith("-----"))
        elif key == "AZURE_STORAGE_SAS_TOKEN":
            yield value
            yield from (part.partition("=")[2] for part in value.split("&") if part.startswith("sig="))
        elif key not in _NO_SECRET:
            yield value


def value_of(kind: str, holder: Obj, key: str, store: Obj) -> str:
    """One value of a Secret or ConfigMap that a DataStore refers to.

    Raises:
        StoreSetupError: the key is missing.
    """
    data: Mapping[str, Any] = holder.get("data") or {}
    if key not in data:
        raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, _missing(kind, holder, key, store))
    return _decoded(holder, key, store) if kind == "Secret" else str(data[key])


def _aws(store: Obj, secret: Obj) -> dict[str, str]:
    found = _values(store, secret, *_AWS, "AWS_SESSION_TOKEN")
    for key in _AWS:
        if key not in found:
            raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, _missing("Secret", secret, key, store))
    return found


def _gcs(store: Obj, secret: Obj) -> dict[str, str]:
    found = _values(store, secret, SERVICE_ACCOUNT)
    if not found:
        raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, _missing("Secret", secret, SERVICE_ACCOUNT, store))
    try:
        _key_file(found[SERVICE_ACCOUNT])
    except msgspec.ValidationError as error:
        raise _unfit(secret, SERVICE_ACCOUNT, store, f"is no key file of a service account ({error})") from None
    except msgspec.DecodeError:
        raise _unfit(secret, SERVICE_ACCOUNT, store, "is not JSON") from None
    return found


def _azure(store: Obj, secret: Obj) -> dict[str, str]:
    *_, client = _AZURE_WAYS
    found = _values(store, secret, *(key for way in _AZURE_WAYS for key in way), _AZURE_LOGIN)
    for way in _AZURE_WAYS:
        if all(key in found for key in way):
            taken = (*way, _AZURE_LOGIN) if way is client else way
            return _checked({key: found[key] for key in taken if key in found}, store, secret)
    lacking = [key for key in client if key not in found]
    if len(lacking) < len(client):
        raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, _missing("Secret", secret, " and ".join(lacking), store))
    raise StoreSetupError(
        StoreNotReady.SECRET_KEY_MISSING,
        f"Secret {name_of(secret)}, which DataStore {name_of(store)} refers to, has no credential for Azure: add "
        f"AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN, or all of {', '.join(client)}",
    )


def _checked(found: dict[str, str], store: Obj, secret: Obj) -> dict[str, str]:
    key = "AZURE_STORAGE_KEY"
    try:
        base64.b64decode(found.get(key, ""), validate=True)
    except ValueError:
        raise _unfit(secret, key, store, "is no key of a storage account, which is base64") from None
    if token := found.get("AZURE_STORAGE_SAS_TOKEN"):
        # The portal shows it with the question mark of a URL.
        found["AZURE_STORAGE_SAS_TOKEN"] = token.removeprefix("?")
        if "sig=" not in token:
            raise _unfit(secret, "AZURE_STORAGE_SAS_TOKEN", store, "is no shared access signature: it has no sig=")
    return found


def _key_file(text: str) -> _KeyFile:
    return msgspec.json.decode(text, type=_KeyFile)


def _values(store: Obj, secret: Obj, *keys: str) -> dict[str, str]:
    """Those of the keys that are there and not empty."""
    data = secret.get("data") or {}
    found = {key: _decoded(secret, key, store) for key in keys if key in data}
    return {key: value for key, value in found.items() if value}


def _decoded(secret: Obj, key: str, store: Obj) -> str:
    try:
        return base64.b64decode(secret["data"][key], validate=True).decode().strip()
    except ValueError:
        raise _unfit(secret, key, store, "is not text") from None


def _unfit(secret: Obj, key: str, store: Obj, what: str) -> StoreSetupError:
    return StoreSetupError(
        StoreNotReady.SECRET_KEY_MISSING,
        f"key {key} of Secret {name_of(secret)}, which DataStore {name_of(store)} refers to, {what}",
    )


def _missing(kind: str, holder: Obj, key: str, store: Obj) -> str:
    return f"{kind} {name_of(holder)} has no key {key}, which DataStore {name_of(store)} needs: add it"
