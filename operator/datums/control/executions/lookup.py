"""What a start looks up: the namespace, the datums that links name, the stores' credentials. Remembers what hardly changes."""

from __future__ import annotations

import time
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from datums.api.datum import Datum
from datums.api.execution import Execution
from datums.api.names import LABEL_SET
from datums.api.reasons import Failed
from datums.control.executions.errors import NotStartable
from datums.control.executions.resolve import Surroundings, links_of
from datums.control.kube import DATUMS, NAMESPACES, Forbidden, NotFound
from datums.control.services import Services
from datums.control.store_credentials import StoreSetupError
from datums.control.store_places import name_of
from datums.control.store_reader import OpenAccess, read_access
from datums.model.ids import set_of_datum
from datums.model.links import DatumLink

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"
_NAMESPACE_SECONDS: Final = 30.0
_STORE_SECONDS: Final = 60.0


class _Opened(NamedTuple):
    version: tuple[str, str]
    at: float
    opened: OpenAccess


class Lookup:
    """Reads for the reconciler of executions."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._namespaces: dict[str, tuple[float, dict[str, str]]] = {}
        self._opened: dict[tuple[str, str], _Opened] = {}

    async def surroundings(self, execution: Execution) -> Surroundings:
        """What the resolution of an execution needs.

        Raises:
            NotStartable: a link that is none.
        """
        namespace = execution.metadata.namespace
        datums: dict[UUID, Datum | None] = {}
        sets: dict[str, Datum | None] = {}
        for _, _, link in links_of(execution.spec):
            if not isinstance(link, DatumLink) or link.namespace not in ("", namespace) or link.datum in datums:
                continue
            found = datums[link.datum] = await self._datum(namespace, link.datum)
            of = set_of_datum(link.datum)
            if found is None and of not in sets:
                members = await self._services.kube.list(DATUMS, namespace, label_selector=f"{LABEL_SET}={of}")
                sets[of] = msgspec.convert(members[0], Datum) if members else None
        labels = await self.namespace_labels(namespace)
        stores = self._services.cache.datastores.values()
        return Surroundings(namespace_labels=labels, stores=stores, datums=datums, sets=sets)

    async def restricted(self, namespace: str) -> bool:
        """Whether the namespace enforces the Pod Security Standard `restricted` by its own label."""
        return (await self.namespace_labels(namespace)).get(_ENFORCE) == "restricted"

    async def namespace_labels(self, namespace: str) -> dict[str, str]:
        """Labels of a namespace; none where the operator may not read them."""
        at, labels = self._namespaces.get(namespace, (0.0, {}))
        if at and time.monotonic() - at < _NAMESPACE_SECONDS:
            return labels
        try:
            body = await self._services.kube.get(NAMESPACES, None, namespace, metadata_only=True)
            labels = body["metadata"].get("labels") or {}
        except (Forbidden, NotFound):
            labels = {}
        self._namespaces[namespace] = (time.monotonic(), labels)
        return labels

    async def open(self, store: dict[str, Any]) -> OpenAccess:
        """How to reach a DataStore, with its credentials: those of now, as far as the watch over its Secret has seen.

        Raises:
            NotStartable: its Secret or its certificates are missing or incomplete.
        """
        meta = store["metadata"]
        name = (meta["namespace"], meta["name"])
        seen = self._services.secret_versions.get(name, "")
        known = self._opened.get(name)
        if (
            known is not None
            and known.version == (meta["resourceVersion"], seen)
            and seen == known.opened.secret_version
            and time.monotonic() - known.at < _STORE_SECONDS
        ):
            return known.opened
        try:
            opened = await read_access(self._services.kube, store)
        except StoreSetupError as error:
            raise NotStartable(Failed.STORE_NOT_READY, f"DataStore {name_of(store)} ({error.reason}): {error}") from None
        self._opened[name] = _Opened((meta["resourceVersion"], seen), time.monotonic(), opened)
        return opened

    async def _datum(self, namespace: str, datum: UUID) -> Datum | None:
        try:
            return msgspec.convert(await self._services.kube.get(DATUMS, namespace, str(datum)), Datum)
        except NotFound:
            return None
