"""Reads the Secret and the certificates that a DataStore refers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from datums.api.reasons import StoreNotReady
from datums.control.kube import CONFIGMAPS, SECRETS, Kube, NotFound, Obj
from datums.control.logs import strike
from datums.control.resources import Resource
from datums.control.store_access import StoreSetupError, access_of, credentials_of, name_of, spec_of, value_of
from datums.model.plan import StoreAccess


class OpenAccess(NamedTuple):
    """All that it takes to use a store."""

    access: StoreAccess
    credentials: Mapping[str, str]
    """The keys of the Secret."""
    secret_version: str
    """Resource version of the Secret that they are from."""


async def read_access(kube: Kube, store: Obj, credentials_file: str = "") -> OpenAccess:
    """How to reach a store, with its credentials.

    Args:
        store: a DataStore.
        credentials_file: for `StoreAccess.credentials`.

    Raises:
        StoreSetupError: the Secret or the CA bundle is missing or incomplete.
        KubeError: the API server did not answer.
    """
    spec = spec_of(store)
    secret = await _read(kube, SECRETS, spec.credentials.secret_ref.name, store, "spec.credentials.secretRef")
    credentials = credentials_of(store, secret)
    strike(value for key, value in credentials.items() if key != "AWS_REGION")
    ca_bundle = ""
    if spec.s3 is not None and (bundle := spec.s3.ca_bundle) is not None:
        field = "spec.s3.caBundle"
        if bundle.config_map_key_ref is not None:
            holder = await _read(kube, CONFIGMAPS, bundle.config_map_key_ref.name, store, field)
            ca_bundle = value_of("ConfigMap", holder, bundle.config_map_key_ref.key, store)
        elif bundle.secret_key_ref is not None:
            holder = await _read(kube, SECRETS, bundle.secret_key_ref.name, store, field)
            ca_bundle = value_of("Secret", holder, bundle.secret_key_ref.key, store)
    version = secret["metadata"]["resourceVersion"]
    return OpenAccess(access_of(store, ca_bundle, credentials_file), credentials, version)


async def secret_version(kube: Kube, store: Obj) -> str:
    """The resource version of a store's Secret, without reading its content.

    Raises:
        StoreSetupError: there is none.
    """
    name = spec_of(store).credentials.secret_ref.name
    secret = await _read(kube, SECRETS, name, store, "spec.credentials.secretRef", metadata_only=True)
    return str(secret["metadata"]["resourceVersion"])


async def _read(kube: Kube, resource: Resource, name: str, store: Obj, field: str, *, metadata_only: bool = False) -> Obj:
    namespace = store["metadata"]["namespace"]
    try:
        return await kube.get(resource, namespace, name, metadata_only=metadata_only)
    except NotFound:
        told = f"{resource.kind} {namespace}/{name} ({field} of DataStore {name_of(store)}) does not exist: create it"
        raise StoreSetupError(StoreNotReady.SECRET_NOT_FOUND, told) from None
