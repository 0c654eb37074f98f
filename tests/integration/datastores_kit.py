"""The DataStore reconciler in a real operator, and waiting for what it says."""

from __future__ import annotations

from datums.control.datastores import DataStoreReconciler
from datums.control.kube import DATASTORES, Kube, Obj
from datums.control.queue import Key
from datums.control.services import Reconcile, Services
from tests.integration.kube_fixture import eventually


class Waiting:
    """The DataStore reconciler, beside an execution reconciler that writes down who was woken."""

    def __init__(self) -> None:
        self.woken: list[Key] = []

    def make(self, services: Services) -> dict[str, Reconcile]:
        return {"DataStore": DataStoreReconciler(services).reconcile, "Execution": self.reconcile}

    async def reconcile(self, key: Key) -> float | None:
        self.woken.append(key)
        return None


async def ready(kube: Kube, namespace: str) -> Obj:
    status = (await kube.get(DATASTORES, namespace, "ml")).get("status") or {}
    return next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})


async def is_ready(kube: Kube, namespace: str, reason: str, seconds: float = 15) -> Obj:
    async def look() -> Obj:
        condition = await ready(kube, namespace)
        assert condition.get("reason") == reason, condition
        return condition

    found: Obj = await eventually(look, seconds)
    return found
