"""From events to keys: keeps the cache up to date and asks for the reconciliation of whom an event concerns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datums.control.cache import ObjectName, Table
from datums.control.kube import DATASTORES, EXECUTIONS, PODS, Obj
from datums.control.queue import Key
from datums.control.resources import Resource
from datums.control.services import Services


class Intake:
    """Takes objects and deletions from the watches and from the sweeper."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def event(self, resource: Resource, type_: str | None, body: Obj) -> None:
        """Takes an event of a watch."""
        if type_ == "DELETED":
            meta = body["metadata"]
            self.gone(resource, (meta["namespace"], meta["name"]), meta.get("uid", ""))
        else:
            self.seen(resource, body)

    def seen(self, resource: Resource, body: Obj) -> None:
        """An object as it is."""
        if not self.table(resource).put(body):
            return
        meta = body["metadata"]
        name = (meta["namespace"], meta["name"])
        self._add(self.pod_owner(name) if resource is PODS else Key(resource.kind, *name))

    def gone(self, resource: Resource, name: ObjectName, uid: str) -> None:
        """An object that was deleted; nothing happens if another one has its name by now."""
        owner = self.pod_owner(name) if resource is PODS else None
        if not self.table(resource).remove(name, uid):
            return
        self._services.progress.pop(uid, None)
        self._add(owner if resource is PODS else Key(resource.kind, *name))

    def pod_owner(self, name: ObjectName) -> Key | None:
        """The key of the execution that a known pod belongs to."""
        owner = self._services.cache.pods.owner(name)
        return Key(EXECUTIONS.kind, name[0], owner.name) if owner else None

    def table(self, resource: Resource) -> Table[Any]:
        """The cache's table of a resource."""
        cache = self._services.cache
        tables: Mapping[Resource, Table[Any]] = {EXECUTIONS: cache.executions, DATASTORES: cache.datastores, PODS: cache.pods}
        return tables[resource]

    def _add(self, key: Key | None) -> None:
        if key is not None:
            self._services.queue.add(key)
