"""What the stories are told with: a project (namespace), its executions, and the bucket behind them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar

import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from datums.model import layout, manifest
from datums.stores.protocol import Store

T = TypeVar("T")
Object: TypeAlias = dict[str, Any]
GROUP, VERSION = "datums.dev", "v1alpha1"
IMAGE = "datums-testbed/python:3"
NO_SHELL_IMAGE = "datums-testbed/noshell:1"


def eventually(what: str, probe: Callable[[], T | None], seconds: float = 60, state: Callable[[], object] | None = None) -> T:
    """The first truthy answer of `probe`; fails with `what` and the last state after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            seen = "" if state is None else f"; last seen: {json.dumps(state(), indent=1, default=str)}"
            raise AssertionError(f"not within {seconds:.0f} s: {what}{seen}")
        time.sleep(0.1)


class Execution:
    """One Execution, as a person follows it."""

    def __init__(self, project: Project, name: str) -> None:
        self.project = project
        self.name = name

    @property
    def object(self) -> Object:
        return self.project.custom.get_namespaced_custom_object(GROUP, VERSION, self.project.namespace, "executions", self.name)

    @property
    def status(self) -> Object:
        return self.object.get("status", {})

    @property
    def uid(self) -> str:
        return self.object["metadata"]["uid"]

    @property
    def condition(self) -> Object:
        return next((c for c in self.status.get("conditions", []) if c["type"] == "Succeeded"), {"status": "Unknown", "reason": ""})

    def until(self, *reasons: str, seconds: float = 60) -> Execution:
        """Waits until the reason of its condition is one of these."""
        eventually(
            f"{self.name} is {' or '.join(reasons)}", lambda: self.condition["reason"] in reasons, seconds, lambda: self.status
        )
        return self

    def ended(self, seconds: float = 90) -> Object:
        """Waits for the end; its condition."""
        eventually(f"{self.name} ended", lambda: self.condition["status"] != "Unknown", seconds, lambda: self.status)
        return self.condition

    def succeeds(self, seconds: float = 90) -> Execution:
        condition = self.ended(seconds)
        assert (condition["status"], condition["reason"]) == ("True", "Committed"), self.status
        return self

    def fails(self, reason: str, *says: str, seconds: float = 90) -> Execution:
        """Waits for the end: False with this reason and a message that has these words."""
        condition = self.ended(seconds)
        assert (condition["status"], condition["reason"]) == ("False", reason), self.status
        for words in says:
            assert words in condition["message"], condition["message"]
        return self

    def waits(self, reason: str, *says: str, seconds: float = 60) -> Execution:
        """Waits until it waits (Unknown) for this reason."""
        self.until(reason, seconds=seconds)
        assert self.condition["status"] == "Unknown", self.condition
        for words in says:
            assert words in self.condition["message"], self.condition["message"]
        return self

    def edit(self, **spec: object) -> None:
        self.project.custom.patch_namespaced_custom_object(
            GROUP, VERSION, self.project.namespace, "executions", self.name, {"spec": spec}
        )

    def delete(self) -> None:
        self.project.custom.delete_namespaced_custom_object(GROUP, VERSION, self.project.namespace, "executions", self.name)

    def exists(self) -> bool:
        try:
            return bool(self.object)
        except ApiException as error:
            if error.status == 404:
                return False
            raise

    # its pods

    def pods(self, attempt: int | None = None) -> list[Object]:
        selector = f"datums.dev/execution={self.name}" + (f",datums.dev/attempt={attempt}" if attempt else "")
        return self.project.pods(selector)

    @property
    def pod(self) -> Object:
        """The pod of the current attempt."""
        name = self.status["pod"]
        return next(pod for pod in self.pods() if pod["metadata"]["name"] == name)

    def container(self, name: str) -> Object:
        """The status of one container of the current attempt's pod."""
        status = self.pod["status"]
        both = status.get("containerStatuses", []) + status.get("initContainerStatuses", [])
        return next((c for c in both if c["name"] == name), {"state": {}, "restartCount": 0})

    def running(self, seconds: float = 60) -> Execution:
        """Waits until main runs."""
        self.until("Running", seconds=seconds)
        return self

    def said(self, line: str, seconds: float = 60) -> Execution:
        """Waits until main's log has this line."""
        eventually(f"{self.name} says {line!r}", lambda: line in self.log().splitlines(), seconds, self.log)
        return self

    def log(self, container: str = "main") -> str:
        return self.project.log(self.status["pod"], container)

    def exec(self, *command: str, container: str = "main") -> str:
        return self.project.kubectl("exec", self.status["pod"], "-c", container, "--", *command)

    # its outputs

    def datums(self) -> list[Object]:
        answer = self.project.custom.list_namespaced_custom_object(
            GROUP, VERSION, self.project.namespace, "datums", label_selector=f"datums.dev/execution={self.name}"
        )
        return sorted(answer["items"], key=lambda d: (d["spec"].get("path", ""), d["metadata"]["name"]))

    def datum(self, path: str) -> Object:
        (one,) = [d for d in self.datums() if d["spec"].get("path") == path]
        return one

    def link(self, path: str) -> str:
        return f"datum://{self.datum(path)['metadata']['name']}"

    def saved(self) -> dict[str, bytes]:
        """What each of its datums holds, read from the bucket, by path; digest and size are checked on the way."""
        out: dict[str, bytes] = {}
        for datum in self.datums():
            spec = datum["spec"]
            data = self.project.bucket.get(spec["location"]["key"])
            if offset := spec["location"].get("offset"):
                data = data[offset:][: spec["size"]]
            assert (len(data), hashlib.sha256(data).hexdigest()) == (spec["size"], spec["sha256"]), spec
            out[spec["path"]] = data
        return out

    def manifest(self) -> list[manifest.Entry]:
        """The entries of its output manifest, read from the bucket."""
        reference = self.status["outputs"]["manifest"]
        data = self.project.bucket.get(reference["key"])
        assert hashlib.sha256(data).hexdigest() == reference["sha256"]
        return list(manifest.Reader([data]))

    def commit(self, attempt: int = 1) -> Object | None:
        """The attempt's commit.json; None when there is none."""
        prefix = layout.attempt_prefix(self.project.prefix, self.project.namespace, self.name, self.uid, attempt)
        keys = [item.key for item in self.project.bucket.list(prefix)]
        key = layout.commit_key(prefix)
        return json.loads(self.project.bucket.get(key)) if key in keys else None


class Project:
    """A namespace with its DataStore."""

    def __init__(self, namespace: str, bucket: Store, prefix: str) -> None:
        self.namespace = namespace
        self.bucket = bucket
        """The bucket as an administrator sees it."""
        self.prefix = prefix
        self.custom = client.CustomObjectsApi()
        self.core = client.CoreV1Api()
        self._count = 0

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints; fails with what it says."""
        done = subprocess.run(
            ["kubectl", "--namespace", self.namespace, *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def apply(self, *objects: Object) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def run(self, command: str | list[str], name: str = "", image: str = IMAGE, **spec: Any) -> Execution:
        """Applies an Execution."""
        self._count += 1
        name = name or f"run-{self._count}"
        spec = {"image": image, "command": command, **spec}
        self.apply({"apiVersion": f"{GROUP}/{VERSION}", "kind": "Execution", "metadata": {"name": name}, "spec": spec})
        return Execution(self, name)

    def store(self, name: str = "store", **overrides: Any) -> Object:
        """Reads a DataStore of this namespace."""
        return self.custom.get_namespaced_custom_object(GROUP, VERSION, self.namespace, "datastores", name)

    def store_is(
        self, status: Literal["True", "False", "Unknown"], reason: str = "", name: str = "store", seconds: float = 60
    ) -> Object:
        """Waits for a DataStore's Ready condition."""

        def probe() -> Object | None:
            conditions = self.store(name).get("status", {}).get("conditions", [])
            ready = next((c for c in conditions if c["type"] == "Ready"), None)
            return ready if ready and ready["status"] == status and reason in ("", ready["reason"]) else None

        return eventually(f"DataStore {name} Ready={status} {reason}", probe, seconds, lambda: self.store(name).get("status"))

    def pods(self, selector: str = "") -> list[Object]:
        api = self.core.api_client
        return [
            api.sanitize_for_serialization(p) for p in self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        ]

    def log(self, pod: str, container: str) -> str:
        try:
            return self.core.read_namespaced_pod_log(pod, self.namespace, container=container)
        except ApiException as error:
            return f"(no log: {error.reason})"

    def events(self, of: str = "") -> list[Object]:
        api = self.core.api_client
        items = [api.sanitize_for_serialization(e) for e in self.core.list_namespaced_event(self.namespace).items]
        return [e for e in items if of in ("", e["involvedObject"]["name"])]


def objects_below(store: Store, prefix: str) -> Iterator[str]:
    """The keys below a prefix."""
    return (item.key for item in store.list(prefix))
