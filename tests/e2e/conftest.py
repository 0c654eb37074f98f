"""The cluster, the operator in it (installed by its chart), the S3 server and the projects of the stories."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client, config

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.protocol import Store
from demo import tools
from demo.bucket import Server
from demo.operator import SYSTEM, install
from tests.e2e.kit import GROUP, VERSION, Object, Project, eventually
from tests.e2e.processes import unreachable

BUCKET = "datums-e2e"


class S3:
    """The S3 server in the cluster, with its administrator's keys."""

    def __init__(self, server: Server, url: str) -> None:
        self.endpoint = server.endpoint
        self.namespace = server.namespace
        service = client.CoreV1Api().read_namespaced_service(server.service, server.namespace)
        self.selector = ",".join(f"{name}={value}" for name, value in service.spec.selector.items())
        self.keys = server.keys
        self._url = url

    def open(self, bucket: str) -> Store:
        access = StoreAccess(name="e2e/admin", bucket=bucket, prefix="", endpoint=self._url, force_path_style=True)
        return open_store(access, self.keys)


class ConnectedProject(Project):
    """A project that can connect stores of the e2e bucket."""

    def __init__(self, namespace: str, s3: S3, prefix: str) -> None:
        super().__init__(namespace, s3.open(BUCKET), prefix)
        self.s3 = s3
        self.bucket_name = BUCKET

    @classmethod
    def made(cls, s3: S3, name: str, labels: dict[str, str] | None = None) -> ConnectedProject:
        """A new namespace."""
        namespace = f"e2e-{name}-{uuid.uuid4().hex[:5]}"
        client.CoreV1Api().create_namespace({"metadata": {"name": namespace, "labels": {"datums-e2e": "true", **(labels or {})}}})
        NAMESPACES.append(namespace)
        return cls(namespace, s3, prefix="datums")

    def secret(self, name: str, secret_key: str = "") -> Object:
        """A Secret with the administrator's keys, or with a wrong one; applies the wrong one, returns the right one."""
        right = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": self.s3.keys}
        if secret_key:
            self.apply({**right, "stringData": {**self.s3.keys, "AWS_SECRET_ACCESS_KEY": secret_key}})
        return right

    def connect(
        self, name: str, *, bucket: str = BUCKET, secret: str = "s3", default: bool = True, name_prefix: str = "", **spec: Any
    ) -> None:
        """Applies a DataStore."""
        s3 = {
            "bucket": bucket,
            "prefix": f"{self.prefix}{name_prefix}",
            "endpoint": self.s3.endpoint,
            "region": "us-east-1",
            "forcePathStyle": True,
        }
        spec = {"s3": s3, "credentials": {"secretRef": {"name": secret}}, "readable": ["raw/"], "default": default, **spec}
        self.apply({"apiVersion": f"{GROUP}/{VERSION}", "kind": "DataStore", "metadata": {"name": name}, "spec": spec})


@pytest.fixture(scope="session")
def cluster() -> None:
    """Points kubectl, helm and the Python client at the cluster."""
    os.environ.update({name: tools.environment()[name] for name in ("KUBECONFIG", "PATH") if name in tools.environment()})
    config.load_kube_config(os.environ.get("KUBECONFIG"))


@pytest.fixture(scope="session")
def s3(cluster: None) -> Iterator[S3]:
    server = Server.deployed()
    server.make_bucket(BUCKET)
    with server.forwarded() as url:
        yield S3(server, url)


@pytest.fixture(scope="session")
def operator(cluster: None) -> str:
    """Installs the chart; the operator's namespace."""
    install("--values", "tests/e2e/values.yaml")
    return SYSTEM


NAMESPACES: list[str] = []
"""Of all projects of this session: they stay until its end, so that the canary is searched in what they leave."""


@pytest.fixture(scope="session", autouse=True)
def clean_up(cluster: None) -> Iterator[None]:
    yield
    for namespace in NAMESPACES:
        client.CoreV1Api().delete_namespace(namespace)


def _project(s3: S3, name: str, labels: dict[str, str] | None = None, store: bool = True) -> ConnectedProject:
    project = ConnectedProject.made(s3, name, labels)
    project.apply(project.secret("s3"))
    if store:
        project.connect("store")
        project.store_is("True")
    return project


@pytest.fixture(scope="module")
def project(operator: str, s3: S3, request: pytest.FixtureRequest) -> ConnectedProject:
    """A namespace with a default DataStore; one for all stories of a file."""
    return _project(s3, request.module.__name__.rpartition("test_")[2].replace("_", "-"))


@pytest.fixture(scope="module")
def other_project(operator: str, s3: S3) -> ConnectedProject:
    return _project(s3, "other")


@pytest.fixture
def bare_project(operator: str, s3: S3) -> ConnectedProject:
    """A namespace without a DataStore."""
    return _project(s3, "bare", store=False)


@pytest.fixture(scope="module")
def restricted_project(operator: str, s3: S3) -> ConnectedProject:
    """A namespace that enforces the restricted Pod Security Standard."""
    return _project(s3, "restricted", labels={"pod-security.kubernetes.io/enforce": "restricted"})


@pytest.fixture(scope="session")
def secrets(s3: S3) -> list[str]:
    """Values that must never be seen anywhere but in Secrets."""
    return [s3.keys["AWS_SECRET_ACCESS_KEY"]]


@pytest.fixture
def s3_outage(s3: S3) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """`with s3_outage():` nothing answers at the S3 server's address, and open connections to it are cut."""

    def outage() -> contextlib.AbstractContextManager[None]:
        (pod,) = client.CoreV1Api().list_namespaced_pod(s3.namespace, label_selector=s3.selector).items
        return unreachable(pod.status.pod_ip, int(s3.endpoint.rpartition(":")[2]))

    return outage


@pytest.fixture(scope="module")
def web_url(project: ConnectedProject) -> str:
    """A public file, served by a pod of the project."""
    command = "mkdir /tmp/www && echo public > /tmp/www/page.txt && exec python3 -m http.server 8000 --directory /tmp/www"
    container = {
        "name": "web",
        "image": "datums-testbed/python:3",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
    }
    project.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [container]}})

    def address() -> str | None:
        pod = project.core.read_namespaced_pod("web", project.namespace)
        return pod.status.pod_ip if pod.status.phase == "Running" and "web" in (pod.metadata.name or "") else None

    return f"http://{eventually('the web server runs', address)}:8000/page.txt"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The search for the canary comes last: it looks at what all the others left."""
    items.sort(key=lambda item: "test_canary" in item.nodeid)
