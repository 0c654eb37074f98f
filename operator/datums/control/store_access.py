"""Which DataStores a namespace may use, and what a DataStore's objects say about reaching it. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from datums.api.conditions import get_condition
from datums.api.datastore import READY, DataStore, DataStoreSpec, NamespaceSelector, SelectorRequirement
from datums.api.reasons import Failed, StoreNotReady
from datums.control.kube import Obj
from datums.model.plan import StoreAccess

REQUIRED_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class StoreChoiceError(Exception):
    """No store, or not exactly one. `reason` is one of `api.reasons.Failed`."""

    def __init__(self, reason: Failed, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreSetupError(Exception):
    """The Kubernetes objects beside a DataStore do not let it be used. `reason` is one of `api.reasons.StoreNotReady`."""

    def __init__(self, reason: StoreNotReady, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def name_of(store: Obj) -> str:
    """`<namespace>/<name>`."""
    return f"{store['metadata']['namespace']}/{store['metadata']['name']}"


def spec_of(store: Obj) -> DataStoreSpec:
    """The spec, typed, with its defaults."""
    return msgspec.convert(store, DataStore).spec


def readiness(store: Obj) -> tuple[bool, str]:
    """Whether a store can be used now, and a sentence that says why not (empty when it can)."""
    condition = get_condition(msgspec.convert(store, DataStore).status.conditions, READY)
    if condition is not None and condition.status == "True":
        return True, ""
    if condition is None:
        return False, f"DataStore {name_of(store)} was not tried yet"
    return False, f"DataStore {name_of(store)} is not ready ({condition.reason}): {condition.message}"


def may_use(store: Obj, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether executions in a namespace may use a store.

    Args:
        labels: of the namespace.
    """
    if store["metadata"]["namespace"] == namespace:
        return True
    allowed = spec_of(store).allowed_namespaces
    if allowed.from_ == "All":
        return True
    return allowed.from_ == "Selector" and allowed.selector is not None and selects(allowed.selector, labels)


def selects(selector: NamespaceSelector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses an object with these labels; an empty one chooses all."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    return all(_holds(each, labels) for each in selector.match_expressions)


def usable(stores: Iterable[Obj], namespace: str, labels: Mapping[str, str]) -> list[Obj]:
    """The stores that a namespace may use, its own first."""
    allowed = [store for store in stores if may_use(store, namespace, labels)]
    return sorted(allowed, key=lambda store: (store["metadata"]["namespace"] != namespace, name_of(store)))


def default_store(candidates: Iterable[Obj], namespace: str) -> Obj:
    """The upload store of executions that name none.

    Args:
        candidates: the stores that the namespace may use (`usable`).

    Raises:
        StoreChoiceError: none, or more than one.
    """
    defaults = [store for store in candidates if spec_of(store).default]
    own = [store for store in defaults if store["metadata"]["namespace"] == namespace]
    chosen = own or defaults
    if not chosen:
        raise StoreChoiceError(
            Failed.STORE_NOT_READY,
            f"namespace {namespace} has no default DataStore: set spec.outputs.store, or spec.default of a DataStore it may use",
        )
    if len(chosen) > 1:
        raise StoreChoiceError(
            Failed.AMBIGUOUS_STORE,
            f"namespace {namespace} has several default DataStores, {_names(chosen)}: set spec.outputs.store to one of them",
        )
    return chosen[0]


def named_store(stores: Iterable[Obj], reference: str, namespace: str, labels: Mapping[str, str]) -> Obj:
    """The store that a name means.

    Args:
        stores: all that are known.
        reference: `<name>` (the namespace's own, else the one that is shared with it) or `<name>@<namespace>`.

    Raises:
        StoreChoiceError: there is none, it is not shared, or several of that name are.
    """
    name, _, where = reference.partition("@")
    same = [s for s in stores if s["metadata"]["name"] == name and (not where or s["metadata"]["namespace"] == where)]
    if not same:
        place = f"in namespace {where}" if where else f"in namespace {namespace} nor shared with it"
        raise StoreChoiceError(Failed.STORE_NOT_READY, f"there is no DataStore {name} {place}: create it, or correct the name")
    allowed = usable(same, namespace, labels)
    if not allowed:
        raise StoreChoiceError(
            Failed.NOT_SHARED,
            f"DataStore {_names(same)} is not shared with namespace {namespace}: its owner can allow it in spec.allowedNamespaces",
        )
    if len(allowed) > 1 and allowed[0]["metadata"]["namespace"] != namespace:
        raise StoreChoiceError(
            Failed.AMBIGUOUS_STORE, f"several DataStores of that name are shared, {_names(allowed)}: write {name}@<namespace>"
        )
    return allowed[0]


def store_of_bucket(candidates: Iterable[Obj], bucket: str, namespace: str) -> Obj:
    """The store by which an `s3://` link is read.

    Args:
        candidates: the stores that the namespace may use (`usable`).

    Raises:
        StoreChoiceError: none has the bucket, or several have.
    """
    known = list(candidates)
    having = [store for store in known if (s3 := spec_of(store).s3) is not None and s3.bucket == bucket]
    own = [store for store in having if store["metadata"]["namespace"] == namespace]
    having = own or having
    if not having:
        others = f" It may use {_names(known)}." if known else ""
        raise StoreChoiceError(
            Failed.STORE_NOT_READY,
            f"no DataStore that namespace {namespace} may use has bucket {bucket}: create one, or have one shared.{others}",
        )
    if len(having) > 1:
        raise StoreChoiceError(
            Failed.AMBIGUOUS_STORE, f"several DataStores have bucket {bucket}, {_names(having)}: write store://<datastore>/<key>"
        )
    return having[0]


def access_of(store: Obj, ca_bundle: str = "", credentials: str = "") -> StoreAccess:
    """How to reach a store.

    Args:
        ca_bundle: PEM.
        credentials: name of the file beside a plan; empty where it is used without one.
    """
    typed = msgspec.convert(store, DataStore)
    spec, found = typed.spec, typed.status.capabilities
    s3 = spec.s3
    if s3 is None:
        raise ValueError(f"DataStore {name_of(store)} is of no kind that is known: set spec.s3")
    return StoreAccess(
        name=name_of(store),
        bucket=s3.bucket,
        prefix=s3.prefix,
        region=s3.region,
        endpoint=s3.endpoint or "",
        force_path_style=s3.force_path_style,
        ca_bundle=ca_bundle,
        concurrency=spec.tuning.concurrency,
        part_size_mib=spec.tuning.part_size_mib,
        checksums=spec.tuning.checksums,
        conditional_put=found.conditional_put if found else True,
        readable=list(spec.readable),
        credentials=credentials,
    )


def neighbours(store: Obj, stores: Iterable[Obj]) -> list[str]:
    """The prefixes of other DataStores in the same bucket, for `StoreAccess.neighbours`."""
    here = spec_of(store).s3
    others = (spec_of(other).s3 for other in stores)
    same = {s3.prefix for s3 in others if s3 and here and (s3.bucket, s3.endpoint) == (here.bucket, here.endpoint)}
    return sorted(same - {here.prefix if here else ""})


def credentials_of(store: Obj, secret: Obj) -> dict[str, str]:
    """The credentials in a DataStore's Secret, by the names of its keys.

    Raises:
        StoreSetupError: a key is missing, empty or not text.
    """
    found = {key: _decoded(secret, key, store) for key in secret.get("data") or {} if key.startswith("AWS_")}
    for key in REQUIRED_KEYS:
        if not found.get(key):
            raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, _missing("Secret", secret, key, store))
    return found


def value_of(kind: str, holder: Obj, key: str, store: Obj) -> str:
    """One value of a Secret or ConfigMap that a DataStore refers to.

    Raises:
        StoreSetupError: the key is missing.
    """
    data: Mapping[str, Any] = holder.get("data") or {}
    if key not in data:
        raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, _missing(kind, holder, key, store))
    return _decoded(holder, key, store) if kind == "Secret" else str(data[key])


def _decoded(secret: Obj, key: str, store: Obj) -> str:
    try:
        return base64.b64decode(secret["data"][key], validate=True).decode().strip()
    except ValueError:
        message = f"key {key} of Secret {name_of(secret)}, which DataStore {name_of(store)} refers to, is not text"
        raise StoreSetupError(StoreNotReady.SECRET_KEY_MISSING, message) from None


def _missing(kind: str, holder: Obj, key: str, store: Obj) -> str:
    return f"{kind} {name_of(holder)} has no key {key}, which DataStore {name_of(store)} needs: add it"


def _names(stores: Iterable[Obj]) -> str:
    return ", ".join(sorted(name_of(store) for store in stores))


def _holds(requirement: SelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
