"""Creates bare Pods and Executions and times each from create to done, by watching the API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from kubernetes import client, watch

Object: TypeAlias = dict[str, Any]
IMAGE = "datums-testbed/python:3"
GROUP, VERSION = "datums.dev", "v1alpha1"


def bare_pod(name: str) -> Object:
    """A Pod that does nothing."""
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["true"]}
    spec = {"restartPolicy": "Never", "containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def execution(name: str, command: str = "true", **spec: Any) -> Object:
    """An Execution of a command."""
    spec = {"image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command, **spec}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Execution", "metadata": {"name": name}, "spec": spec}


class Runner:
    """Creates objects in one namespace and sees them end."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.started: dict[str, float] = {}
        """When the object of each name was created, `time.monotonic`."""
        self.core = client.CoreV1Api()
        self.custom = client.CustomObjectsApi()

    def pods(self, names: list[str]) -> list[float]:
        """Seconds from create to `Succeeded` of each bare Pod, all created at once."""

        def create(name: str) -> None:
            self.core.create_namespaced_pod(self.namespace, bare_pod(name))

        def done(pod: Object) -> bool:
            return pod["status"].get("phase") in ("Succeeded", "Failed")

        return self._timed(names, create, self.core.list_namespaced_pod, (self.namespace,), done)

    def executions(self, names: list[str], **spec: Any) -> list[float]:
        """Seconds from create to the verdict of each Execution, all created at once. Fails if one does not succeed."""

        def create(name: str) -> None:
            self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, "executions", execution(name, **spec))

        def done(body: Object) -> bool:
            condition = next((c for c in body.get("status", {}).get("conditions", []) if c["type"] == "Succeeded"), {})
            if condition.get("status") == "False":
                raise RuntimeError(f"{body['metadata']['name']} failed: {condition}")
            return condition.get("status") == "True"

        arguments = (GROUP, VERSION, self.namespace, "executions")
        return self._timed(names, create, self.custom.list_namespaced_custom_object, arguments, done)

    def get(self, name: str) -> Object:
        """One Execution."""
        return self.custom.get_namespaced_custom_object(GROUP, VERSION, self.namespace, "executions", name)

    def _timed(
        self,
        names: list[str],
        create: Callable[[str], None],
        listing: Callable[..., Any],
        arguments: tuple[str, ...],
        done: Callable[[Object], bool],
    ) -> list[float]:
        ended: dict[str, float] = {}
        errors: list[Exception] = []
        watching = threading.Event()
        sanitize = self.core.api_client.sanitize_for_serialization

        def follow() -> None:
            stream = watch.Watch()
            try:
                first = sanitize(listing(*arguments))
                watching.set()
                version = first["metadata"]["resourceVersion"]
                for event in stream.stream(listing, *arguments, resource_version=version, timeout_seconds=600):
                    body = event["raw_object"]
                    name = body["metadata"]["name"]
                    if name in names and name not in ended and done(body):
                        ended[name] = time.monotonic()
                        if len(ended) == len(names):
                            return
            except Exception as error:  # noqa: BLE001  handed to the main thread
                errors.append(error)
                watching.set()
            finally:
                stream.stop()

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        watching.wait()
        for name in names:
            self.started[name] = time.monotonic()
            create(name)
        thread.join(timeout=600)
        if errors:
            raise errors[0]
        if missing := [name for name in names if name not in ended]:
            raise RuntimeError(f"not done within 600 s: {', '.join(missing)}")
        return [ended[name] - self.started[name] for name in names]
