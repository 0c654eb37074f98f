"""A real API server with etcd on loopback, the CRDs in it, and the real operator running in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from datums.control.app import Operator
from datums.control.kube import NAMESPACES, SECRETS, Kube, Obj
from datums.control.metrics import Metrics
from datums.control.resources import Resource
from datums.control.settings import Settings
from testbed.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 15.0, every: float = 0.05) -> Any:
    """What `look` gives as soon as it is true; its last assertion error, or a failure, after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        trouble: AssertionError | None = None
        try:
            found = await look()
            if found:
                return found
        except AssertionError as error:
            trouble = error
        if time.monotonic() > deadline:
            raise trouble or AssertionError(f"not true after {seconds:g} s: {found!r}")
        await asyncio.sleep(every)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One API server for all tests."""
    with ControlPlane(tmp_path_factory.mktemp("kube")) as plane:
        yield plane


@pytest.fixture(scope="session")
def kube_api(control_plane: ControlPlane) -> ControlPlane:
    """The same, for tests that bring a client of their own."""
    return control_plane


@pytest.fixture(scope="session")
async def kube(control_plane: ControlPlane) -> AsyncIterator[Kube]:
    """Our own seam to it, as administrator; the CRDs are installed."""
    async with await Kube.connect(str(control_plane.kubeconfig)) as kube:
        for path in sorted((ROOT / "crds").glob("*.yaml")):
            for crd in yaml.safe_load_all(path.read_text()):
                await kube.apply(CRDS, None, crd["metadata"]["name"], crd)
                await eventually(lambda name=crd["metadata"]["name"]: _established(kube, name))
        yield kube


async def _established(kube: Kube, name: str) -> bool:
    conditions = (await kube.get(CRDS, None, name)).get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


@pytest.fixture
async def namespace(kube: Kube) -> str:
    """A project of the test's own."""
    name = f"t-{secrets.token_hex(4)}"
    await kube.create(NAMESPACES, None, {"metadata": {"name": name}})
    return name


@pytest.fixture
async def secret(kube: Kube, namespace: str, s3_server: Any) -> Obj:
    """The S3 server's keys, as a Secret `keys`."""
    return await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": s3_server.keys["admin"]})


def quick(namespace: str, kubeconfig: str, **changes: Any) -> Settings:
    """Settings of an operator that works in one namespace and does not wait for long."""
    port = free_port
    fields: dict[str, Any] = {
        "kubeconfig": kubeconfig,
        "namespaces": (namespace,),
        "namespace": namespace,
        "pod_name": "operator-0",
        "bind_address": "127.0.0.1",
        "metrics_port": port(),
        "agent_port": port(),
        "lease_seconds": 3.0,
        "lease_renew_seconds": 2.0,
        "lease_retry_seconds": 0.3,
        "secret_check_seconds": 0.5,
        "secret_retry_seconds": 0.3,
        "probe_retry_seconds": 0.5,
        "probe_timeout_seconds": 5.0,
        "workers": 4,
        "log_format": "text",
    } | changes
    return Settings(**fields)


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def running(settings: Settings, **options: Any) -> AsyncIterator[Operator]:
    """The real operator, working, in this loop; ended in order at the end."""
    metrics = Metrics()
    stop = asyncio.Event()
    async with await Kube.connect(settings.kubeconfig, metrics.count_request) as kube:
        operator = Operator(kube, settings, metrics, **options)
        task = asyncio.create_task(operator.run(stop))
        working = asyncio.create_task(operator.working.wait())
        await asyncio.wait([task, working], timeout=30, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            working.cancel()
            await task
        assert operator.working.is_set(), "the operator did not begin to work"
        try:
            yield operator
        finally:
            stop.set()
            await task


@pytest.fixture
async def operator(control_plane: ControlPlane, kube: Kube, namespace: str) -> AsyncIterator[Operator]:
    """The real operator, at work in the test's namespace."""
    async with running(quick(namespace, str(control_plane.kubeconfig))) as operator:
        yield operator
