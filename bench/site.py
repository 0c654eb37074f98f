"""Where the benchmarks run: a namespace with a connected store, and the operator's own figures."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from kubernetes import client, config

from demo import tools
from demo.bucket import Server
from demo.operator import SYSTEM, install

NAMESPACE = "datums-bench"
BUCKET = "datums-bench"


@dataclass(frozen=True)
class Site:
    """The place, ready."""

    namespace: str
    kib_link: str
    """A link to a file of 1 KiB."""

    def operator_cpu(self) -> float:
        """CPU seconds of all replicas so far."""
        return sum(self._metric("process_cpu_seconds_total"))

    def operator_memory(self) -> float:
        """Resident bytes of the largest replica."""
        return max(self._metric("process_resident_memory_bytes"))

    def _metric(self, name: str) -> list[float]:
        core = client.CoreV1Api()
        values = []
        for pod in core.list_namespaced_pod(SYSTEM, label_selector="app.kubernetes.io/name=datums").items:
            text = core.connect_get_namespaced_pod_proxy_with_path(f"{pod.metadata.name}:8080", SYSTEM, "metrics")
            match = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
            if match is None:
                raise RuntimeError(f"pod {pod.metadata.name} has no metric {name}")
            values.append(float(match[1]))
        return values


def prepare() -> Site:
    """Installs the operator, deploys the S3 server and connects it."""
    tools.step("make", "--no-print-directory", "cluster", "images")
    if not tools.is_current_cluster():
        config.load_kube_config(str(tools.KUBECONFIG))
    else:
        config.load_kube_config()
    install()
    server = Server.deployed()
    server.make_bucket(BUCKET)
    with server.forwarded() as url:
        server.client(url).put_object(Bucket=BUCKET, Key="raw/kib", Body=b"k" * 1024)
    s3 = {"bucket": BUCKET, "region": "us-east-1", "endpoint": server.endpoint, "forcePathStyle": True}
    spec = {"s3": s3, "credentials": {"secretRef": {"name": "s3"}}, "readable": ["raw/"], "default": True}
    for each in (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": server.keys},
        {"apiVersion": "datums.dev/v1alpha1", "kind": "DataStore", "metadata": {"name": "bench"}, "spec": spec},
    ):
        tools.kubectl(NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(each))
    tools.kubectl(NAMESPACE, "wait", "--for=condition=Ready", "--timeout=60s", "datastore/bench")
    return Site(NAMESPACE, f"s3://{BUCKET}/raw/kib")
