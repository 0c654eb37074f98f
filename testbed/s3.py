"""The S3 server in the cluster: deployed where it is not yet, its address and the names of the Secrets with its keys told."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed import binaries, identities, images, programs
from testbed.errors import SetupError
from testbed.layout import CLUSTER
from testbed.progress import Step

MANIFEST = Path(__file__).parent / "s3.yaml"
NAMESPACE, SERVICE = "datums-s3", "seaweedfs"
CONFIG_SECRET = "s3-config"
DEFAULT_BUCKETS = ("datums-e2e",)


def deploy(current: bool = False, buckets: Sequence[str] = DEFAULT_BUCKETS) -> dict[str, str]:
    """Waits until the server serves and the buckets are there.

    Returns its `endpoint` (as pods reach it; there is no cluster DNS), `namespace`, `service`, and the names of the Secrets
    there: `secret` (may do everything), `readerSecret` (may only read), `wrongSecret` (keys that the server does not know).
    """
    kubectl = Kubectl(current)
    if not kubectl.is_available():
        if not current:
            images.load_into_testbed(programs.SEAWEEDFS_IMAGE, programs.seaweedfs())
        with Step("starting the S3 server in the cluster"):
            namespace, server = MANIFEST.read_text().split("\n---\n", 1)
            kubectl.run("apply", "--filename", "-", given=namespace)
            if kubectl.make_keys():  # a server that runs with other keys, if there is one, is of no use
                kubectl.run("delete", "deployment", SERVICE, "--namespace", NAMESPACE, "--ignore-not-found")
            kubectl.run("apply", "--filename", "-", given=server)
            kubectl.wait_for_rollout()
    for bucket in buckets:
        kubectl.make_bucket(bucket)
    return {
        "endpoint": f"http://{kubectl.service_address()}",
        "namespace": NAMESPACE,
        "service": SERVICE,
        "secret": _secret("admin"),
        "readerSecret": _secret("reader"),
        "wrongSecret": _secret(identities.WRONG),
    }


class Kubectl:
    """`kubectl` on the testbed's cluster, or on the one that KUBECONFIG names."""

    def __init__(self, current: bool) -> None:
        if not current and not CLUSTER.kubeconfig.exists():
            raise SetupError("the cluster is not up: `make cluster` first")
        self._program = binaries.kubectl()
        self._environment = dict(os.environ) if current else os.environ | {"KUBECONFIG": str(CLUSTER.kubeconfig)}

    def run(self, *arguments: str, given: str | None = None) -> str:
        done = self._try(*arguments, given=given)
        if done.returncode:
            raise SetupError(f"`kubectl {' '.join(arguments[:2])}` failed: {done.stderr.strip()[-600:]}")
        return done.stdout

    def is_available(self) -> bool:
        """The server runs and all its keys are there."""
        found = self._try("get", f"deployment/{SERVICE}", "--namespace", NAMESPACE, "--output=json")
        if found.returncode:
            return False
        status = json.loads(found.stdout).get("status", {})
        return status.get("availableReplicas", 0) > 0 and not self._missing_secrets()

    def make_keys(self) -> bool:
        """Makes the Secrets unless all are there; they fit each other only as they were made together."""
        if not self._missing_secrets():
            return False
        keys = identities.new_keys()
        content = {_secret(who): pair for who, pair in keys.items()}
        content[CONFIG_SECRET] = {"s3.json": identities.server_config(keys)}
        made = [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "stringData": data}
            for name, data in content.items()
        ]
        self.run("delete", "secret", *content, "--namespace", NAMESPACE, "--ignore-not-found")
        # Not `apply`: it would write the keys into an annotation, in plain text.
        self.run("create", "--filename", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
        return True

    def wait_for_rollout(self) -> None:
        done = self._try("rollout", "status", f"deployment/{SERVICE}", "--namespace", NAMESPACE, "--timeout=90s")
        if done.returncode:
            pods = self._try("get", "pods,events", "--namespace", NAMESPACE).stdout
            raise SetupError(
                f"the S3 server did not become ready (is its image {programs.SEAWEEDFS_IMAGE} where the cluster can pull it? "
                f"make images):\n{pods[-2000:]}"
            )

    def service_address(self) -> str:
        """Address and port of the Service, `IP:PORT`."""
        service: dict[str, Any] = json.loads(self.run("get", f"service/{SERVICE}", "--namespace", NAMESPACE, "--output=json"))[
            "spec"
        ]
        return f"{service['clusterIP']}:{service['ports'][0]['port']}"

    def make_bucket(self, name: str) -> None:
        """Makes a bucket by the server's own shell, unless it is there."""
        shell = ("exec", "--stdin", f"deployment/{SERVICE}", "--namespace", NAMESPACE, "--", "/weed", "shell",
                 "-master=127.0.0.1:9333")  # fmt: skip
        if name not in self.run(*shell, given="s3.bucket.list\n").split():
            self.run(*shell, given=f"s3.bucket.create -name {name}\n")

    def _missing_secrets(self) -> bool:
        wanted = [CONFIG_SECRET, *(_secret(who) for who in (*identities.ACTIONS, identities.WRONG))]
        return self._try("get", "secret", *wanted, "--namespace", NAMESPACE, "--output=name").returncode != 0

    def _try(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments], env=self._environment, input=given, capture_output=True, text=True, check=False
        )


def _secret(who: str) -> str:
    return f"s3-{who}"
