"""Reads the Secret and the certificates that a DataStore refers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from datums.api.buckets import CABundle
from datums.api.pod import KeyReference
from datums.api.reasons import StoreNotReady
from datums.control.kube import CONFIGMAPS, SECRETS, Kube, NotFound, Obj
from datums.control.logs import strike
from datums.control.resources import Resource
from datums.control.store_access import access_of, is_anonymous
from datums.control.store_credentials import StoreSetupError, credentials_of, secrets_in, value_of
from datums.control.store_places import name_of, place_of, spec_of
from datums.model.plan import StoreAccess


class OpenAccess(NamedTuple):
    """All that it takes to use a store."""

    access: StoreAccess
    credentials: Mapping[str, str]
    """The keys of the Secret; none for an anonymous store."""
    secret_version: str
    """Resource version of the Secret that they are from; empty for an anonymous store."""


async def read_access(kube: Kube, store: Obj, credentials_file: str = "") -> OpenAccess:
    """How to reach a store, with its credentials.

    Args:
        store: a DataStore.
        credentials_file: for `StoreAccess.credentials`.

    Raises:
        StoreSetupError: the Secret or the CA bundle is missing or incomplete.
        KubeError: the API server did not answer.
    """
    version, credentials = "", dict[str, str]()
    if name := _secret_name(store):
        secret = await _read(kube, SECRETS, name, store, "spec.credentials.secretRef")
        version, credentials = secret["metadata"]["resourceVersion"], credentials_of(store, secret)
        strike(secrets_in(credentials))
    return OpenAccess(access_of(store, await _ca_bundle(kube, store), credentials_file), credentials, version)


async def secret_version(kube: Kube, store: Obj) -> str:
    """The resource version of a store's Secret, without reading its content; empty for an anonymous store.

    Raises:
        StoreSetupError: there is none.
    """
    if not (name := _secret_name(store)):
        return ""
    secret = await _read(kube, SECRETS, name, store, "spec.credentials.secretRef", metadata_only=True)
    return str(secret["metadata"]["resourceVersion"])


def _secret_name(store: Obj) -> str:
    spec = spec_of(store)
    reference = spec.credentials.secret_ref
    return "" if reference is None or is_anonymous(spec) else reference.name


async def _ca_bundle(kube: Kube, store: Obj) -> str:
    place = place_of(spec_of(store))
    field = f"spec.{place.kind}.caBundle"
    match place.ca_bundle:
        case CABundle(config_map_key_ref=KeyReference(name=name, key=key)):
            return value_of("ConfigMap", await _read(kube, CONFIGMAPS, name, store, field), key, store)
        case CABundle(secret_key_ref=KeyReference(name=name, key=key)):
            return value_of("Secret", await _read(kube, SECRETS, name, store, field), key, store)
    return ""


async def _read(kube: Kube, resource: Resource, name: str, store: Obj, field: str, *, metadata_only: bool = False) -> Obj:
    namespace = store["metadata"]["namespace"]
    try:
        return await kube.get(resource, namespace, name, metadata_only=metadata_only)
    except NotFound:
        told = f"{resource.kind} {namespace}/{name} ({field} of DataStore {name_of(store)}) does not exist: create it"
        raise StoreSetupError(StoreNotReady.SECRET_NOT_FOUND, told) from None
