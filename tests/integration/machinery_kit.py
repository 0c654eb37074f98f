"""What the tests of the control machinery have in common: an Execution, a pod, an operator that writes down what it is asked."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from datums.api.names import AUDIENCE, LABEL_MANAGED_BY, MANAGED_BY
from datums.control.app import Operator
from datums.control.kube import (
    EXECUTIONS,
    LEASES,
    AlreadyExists,
    Kube,
    NotFound,
    Obj,
)
from datums.control.queue import Key
from datums.control.resources import Resource
from datums.control.services import Reconcile, Services
from tests.integration.kube_fixture import quick, running

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


def execution(name: str = "train") -> Obj:
    return {
        "apiVersion": EXECUTIONS.api_version,
        "kind": "Execution",
        "metadata": {"name": name},
        "spec": {"image": "datums-testbed/python:3", "command": "true"},
    }


def pod(name: str, owner: Obj) -> Obj:
    reference = {
        "apiVersion": EXECUTIONS.api_version,
        "kind": "Execution",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}, "ownerReferences": [reference]},
        "spec": {"containers": [{"name": "main", "image": "datums-testbed/python:3"}], "automountServiceAccountToken": False},
    }


class Seen:
    """A reconciler that writes down what it is asked for."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.services: Services | None = None

    def make(self, services: Services) -> Mapping[str, Reconcile]:
        self.services = services
        return {"Execution": self.reconcile, "DataStore": self.reconcile}

    async def reconcile(self, key: Key) -> float | None:
        self.keys.append(key)
        return None

    def count(self, name: str) -> int:
        return sum(key.name == name for key in self.keys)


@pytest.fixture
async def watched(control_plane: Any, kube: Kube, namespace: str) -> AsyncIterator[tuple[Operator, Seen]]:
    seen = Seen()
    async with running(quick(namespace, str(control_plane.kubeconfig)), make=seen.make) as operator:
        yield operator, seen


async def leaseholder(kube: Kube, namespace: str) -> str:
    try:
        return str((await kube.get(LEASES, namespace, "datums-operator"))["spec"].get("holderIdentity") or "")
    except NotFound:
        return ""


async def satisfied(value: Any) -> Any:
    return value


async def token_of(kube: Kube, namespace: str, bound: Obj | None, audience: str = AUDIENCE) -> str:
    request: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}
    if bound is not None:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": bound["metadata"]["name"], "uid": bound["metadata"]["uid"]}
        request["spec"]["boundObjectRef"] = reference
    path = "serviceaccounts/default/token"
    accounts = Resource("", "v1", path, "TokenRequest")
    return str((await kube.create(accounts, namespace, request))["status"]["token"])


@pytest.fixture
async def account(kube: Kube, namespace: str) -> None:
    with contextlib.suppress(AlreadyExists):
        await kube.create(SERVICE_ACCOUNTS, namespace, {"metadata": {"name": "default"}})
