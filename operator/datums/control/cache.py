"""What the operator believes of the cluster: projections of the objects that it watches, newest version first.

Filled by watch events, by the sweeper's lists and by the answers to our own writes; whoever comes last with an older version
is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from datums.api.names import GROUP
from datums.control.podview import PodView
from datums.control.resources import EXECUTIONS

Obj: TypeAlias = dict[str, Any]
ObjectName: TypeAlias = tuple[str, str]
"""(namespace, name)"""
T = TypeVar("T")

_TOMBSTONES = 4096
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class _Entry(NamedTuple):
    uid: str
    version: int
    value: Any


class Table(Mapping[ObjectName, T], Generic[T]):
    """Objects of one kind by (namespace, name)."""

    def __init__(self, project: Callable[[Obj], T]) -> None:
        """
        Args:
            project: makes what is kept of an object from the whole.
        """
        self._project = project
        self._entries: dict[ObjectName, _Entry] = {}
        # A late answer to a write must not bring an object back whose deletion was seen.
        self._gone: dict[str, None] = {}

    def __getitem__(self, name: ObjectName) -> T:
        value: T = self._entries[name].value
        return value

    def __iter__(self) -> Iterator[ObjectName]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def uid(self, name: ObjectName) -> str:
        """The uid of a known object, else an empty string."""
        entry = self._entries.get(name)
        return entry.uid if entry else ""

    def version(self, name: ObjectName) -> int:
        """The resource version of a known object, else 0."""
        entry = self._entries.get(name)
        return entry.version if entry else 0

    def put(self, body: Mapping[str, Any]) -> bool:
        """Keeps an object as it is now; False if something newer is known, or that it is gone."""
        meta = body["metadata"]
        name = (meta.get("namespace", ""), meta["name"])
        uid, version = meta.get("uid", ""), resource_version(meta.get("resourceVersion"))
        if uid in self._gone:
            return False
        known = self._entries.get(name)
        if known is not None and known.uid == uid and known.version > version:
            return False
        if known is not None and known.uid != uid and known.version > version > 0:
            return False
        self._entries[name] = _Entry(uid, version, self._project(dict(body)))
        return True

    def remove(self, name: ObjectName, uid: str) -> bool:
        """Forgets the object of that name, if it is the one of that uid."""
        if uid:
            self._gone[uid] = None
            if len(self._gone) > _TOMBSTONES:
                self._gone.pop(next(iter(self._gone)))
        known = self._entries.get(name)
        if known is None or (uid and known.uid != uid):
            return False
        del self._entries[name]
        return True

    def ghosts(self, listed: Mapping[ObjectName, str], version: int, namespaces: tuple[str, ...] = ()) -> list[ObjectName]:
        """The names that we know and a list does not have.

        Args:
            listed: (namespace, name) → uid of everything in the list.
            version: the list's resource version; what is newer than it cannot be judged by it.
            namespaces: what was listed; empty for all.
        """
        return [
            name
            for name, entry in self._entries.items()
            if listed.get(name) != entry.uid and entry.version <= version and (not namespaces or name[0] in namespaces)
        ]


class Cache:
    """Executions and DataStores as they are (without managed fields), pods as a `PodView`."""

    def __init__(self) -> None:
        self.executions: Table[Obj] = Table(trimmed)
        self.datastores: Table[Obj] = Table(trimmed)
        self.pods = PodTable()

    def pods_of(self, execution_uid: str) -> list[PodView]:
        """The pods of an execution, in no order."""
        return self.pods.of(execution_uid)


class Owner(NamedTuple):
    """The execution that a pod belongs to."""

    name: str
    uid: str


class PodTable(Table[PodView]):
    """Pods, found by their execution and by their uid too."""

    def __init__(self) -> None:
        super().__init__(PodView.from_body)
        self._owners: dict[ObjectName, Owner] = {}
        self._by_execution: dict[str, set[ObjectName]] = {}
        self._by_uid: dict[str, ObjectName] = {}

    def put(self, body: Mapping[str, Any]) -> bool:
        meta = body["metadata"]
        name = (meta.get("namespace", ""), meta["name"])
        before = self.uid(name)
        if not super().put(body):
            return False
        if before:
            self._unlink(name, before)
        owner = owner_of(body)
        self._by_uid[self.uid(name)] = name
        if owner is not None:
            self._owners[name] = owner
            self._by_execution.setdefault(owner.uid, set()).add(name)
        return True

    def remove(self, name: ObjectName, uid: str) -> bool:
        before = self.uid(name)
        if not super().remove(name, uid):
            return False
        self._unlink(name, before)
        return True

    def of(self, execution_uid: str) -> list[PodView]:
        """The pods of the execution."""
        return [self[name] for name in self._by_execution.get(execution_uid, ())]

    def owner(self, name: ObjectName) -> Owner | None:
        """The execution of a known pod."""
        return self._owners.get(name)

    def named(self, uid: str) -> ObjectName | None:
        """The name of the pod of that uid."""
        return self._by_uid.get(uid)

    def _unlink(self, name: ObjectName, uid: str) -> None:
        self._by_uid.pop(uid, None)
        owner = self._owners.pop(name, None)
        names = self._by_execution.get(owner.uid) if owner else None
        if owner and names is not None:
            names.discard(name)
            if not names:
                del self._by_execution[owner.uid]


def owner_of(body: Mapping[str, Any]) -> Owner | None:
    """The execution that controls an object, by its ownerReferences."""
    for reference in body["metadata"].get("ownerReferences") or ():
        if reference.get("kind") == EXECUTIONS.kind and reference.get("apiVersion", "").startswith(f"{GROUP}/"):
            return Owner(reference["name"], reference["uid"])
    return None


def trimmed(body: Obj) -> Obj:
    """An object without what nobody reads: managed fields and kubectl's copy of it."""
    meta = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    if annotations := meta.get("annotations"):
        meta["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    return {**body, "metadata": meta}


def resource_version(value: Any) -> int:
    """A resource version as a number that grows with time; 0 where a server gives none that can be compared."""
    text = str(value or "")
    return int(text) if text.isdecimal() else 0
