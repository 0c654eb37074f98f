"""Which DataStores a namespace may use, which one is meant, and how it is reached. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from datums.api.conditions import get_condition
from datums.api.datastore import READY, DataStore, DataStoreSpec, NamespaceSelector, SelectorRequirement
from datums.api.reasons import Failed
from datums.control.cache import Obj
from datums.control.store_places import name_of, place_of, spec_of
from datums.model.plan import StoreAccess

PUBLIC: Final = ("s3://", "gs://", "azure://")
"""What can be read without credentials."""
_LARGEST_PART_MIB: Final = 64
"""A larger part, of which several are on their way, would take `ship` past its memory limit."""
_REFUSES_CHECKSUMS: Final = ("ovh", "oracle")


class StoreChoiceError(Exception):
    """No store, or not exactly one. `reason` is one of `api.reasons.Failed`."""

    def __init__(self, reason: Failed, message: str) -> None:
        super().__init__(message)
        self.reason = reason


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


def store_of_root(candidates: Iterable[Obj], root: str, namespace: str) -> Obj:
    """The store by which a link to a bucket is read.

    Args:
        candidates: the stores that the namespace may use (`usable`).
        root: the bucket, as `places.root_of` gives it.

    Raises:
        StoreChoiceError: none has the bucket, or several have.
    """
    known = list(candidates)
    having = stores_of_root(known, root, namespace)
    if not having:
        others = f" It may use {', '.join(f'{name_of(s)} ({place_of(spec_of(s)).root})' for s in known)}." if known else ""
        public = ", for a public bucket with credentials: {anonymous: true}" if root.startswith(PUBLIC) else ""
        raise StoreChoiceError(
            Failed.STORE_NOT_READY,
            f"no DataStore that namespace {namespace} may use has {root}: create one{public}, or have one shared.{others}",
        )
    if len(having) > 1:
        write = " or ".join(_link(store, namespace) for store in having)
        raise StoreChoiceError(
            Failed.AMBIGUOUS_STORE, f"several DataStores have {root}, {_names(having)}: write {write} instead of {root}/<key>"
        )
    return having[0]


def stores_of_root(candidates: Iterable[Obj], root: str, namespace: str) -> list[Obj]:
    """The stores that have a bucket: the namespace's own, or if there is none those that are shared. Arguments as above."""
    having = [store for store in candidates if root in place_of(spec_of(store)).roots]
    return [store for store in having if store["metadata"]["namespace"] == namespace] or having


def check_writable(store: Obj) -> None:
    """Lets pass a store that outputs can be saved to.

    Raises:
        StoreChoiceError: it is anonymous.
    """
    if is_anonymous(spec_of(store)):
        raise StoreChoiceError(
            Failed.STORE_NOT_READY,
            f"DataStore {name_of(store)} has credentials.anonymous, and nothing can be saved without credentials: set "
            "spec.outputs.store to another one, or give it a secretRef",
        )


def is_anonymous(spec: DataStoreSpec) -> bool:
    """Whether it is used without credentials, and so only to read what is public."""
    return bool(spec.credentials.anonymous) and spec.credentials.secret_ref is None


def access_of(store: Obj, ca_bundle: str = "", credentials: str = "") -> StoreAccess:
    """How to reach a store.

    Args:
        ca_bundle: PEM.
        credentials: name of the file beside a plan; empty where it is used without one.
    """
    typed = msgspec.convert(store, DataStore)
    spec, found = typed.spec, typed.status.capabilities
    place, anonymous = place_of(spec), is_anonymous(spec)
    return StoreAccess(
        kind=place.kind,
        name=name_of(store),
        bucket=place.bucket,
        account=place.account,
        prefix=place.prefix,
        region=place.region,
        endpoint=place.endpoint,
        force_path_style=place.path_style,
        ca_bundle=ca_bundle,
        proxy=place.proxy,
        anonymous=anonymous,
        concurrency=spec.tuning.concurrency,
        part_size_mib=min(spec.tuning.part_size_mib, _LARGEST_PART_MIB),
        checksums=spec.tuning.checksums or ("WhenRequired" if place.kind in _REFUSES_CHECKSUMS else "WhenSupported"),
        conditional_put=found.conditional_put if found else True,
        # What can be read without credentials is public.
        readable=list(spec.readable) or ([""] if anonymous else []),
        credentials=credentials,
    )


def _link(store: Obj, namespace: str) -> str:
    meta = store["metadata"]
    return f"store://{meta['name']}{'' if meta['namespace'] == namespace else '@' + meta['namespace']}/<key>"


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
