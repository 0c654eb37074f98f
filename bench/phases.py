"""When the pods of executions pass each milestone, as a watch sees it: the kubelet's own timestamps are whole seconds."""

from __future__ import annotations

import statistics
import threading
import time
from types import TracebackType
from typing import Any, Self

from kubernetes import client, watch
from urllib3.exceptions import ProtocolError

MILESTONES = ("pod made", "scheduled", "fetch ran", "ship ran", "main ran", "main ended", "verdict")
MEANING = {
    "pod made": "the operator sees the object, resolves names, makes Secret and pod",
    "scheduled": "the scheduler",
    "fetch ran": "sandbox, network, container start, download, and the kubelet noticing its end",
    "ship ran": "container start, and the kubelet noticing",
    "main ran": "container start of main and gate; the kubelet tells of a short main only with its end",
    "main ended": "the command",
    "verdict": "upload, commit, report, verification, Datum objects, status",
}


class Milestones:
    """Watches the pods of one namespace while it is open. `of` an execution: milestone → `time.monotonic`."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._seen: dict[str, dict[str, float]] = {}
        self._watch = watch.Watch()
        self._closed = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closed = True
        self._watch.stop()

    def of(self, execution: str) -> dict[str, float]:
        return self._seen.get(execution, {})

    def _follow(self) -> None:
        core = client.CoreV1Api()
        listed = core.list_namespaced_pod(self._namespace, label_selector="datums.dev/execution")
        self._ready.set()
        stream = self._watch.stream(
            core.list_namespaced_pod,
            self._namespace,
            label_selector="datums.dev/execution",
            resource_version=listed.metadata.resource_version,
            timeout_seconds=600,
        )
        try:
            for event in stream:
                now, body = time.monotonic(), event["raw_object"]
                marks = self._seen.setdefault(body["metadata"]["labels"]["datums.dev/execution"], {})
                for milestone in passed(body):
                    marks.setdefault(milestone, now)
        except ProtocolError:
            # `stop` cuts the connection in the middle of an answer.
            if not self._closed:
                raise


def passed(pod: dict[str, Any]) -> list[str]:
    """The milestones that a pod has passed."""
    status = pod.get("status", {})
    listed = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    states = {container["name"]: container.get("state", {}) for container in listed}
    found = ["pod made"]
    if pod["spec"].get("nodeName"):
        found.append("scheduled")
    if "terminated" in states.get("fetch", {}):
        found.append("fetch ran")
    if states.get("ship", {}).keys() & {"running", "terminated"}:
        found.append("ship ran")
    main = states.get("main", {})
    if main.keys() & {"running", "terminated"}:
        found.append("main ran")
    if "terminated" in main:
        found.append("main ended")
    return found


def show(runs: list[dict[str, float]]) -> None:
    """Prints the median time of each phase.

    Args:
        runs: of each execution `created`, the milestones and `verdict`.
    """
    print("\nWhere the time goes (1 KiB in, 1 KiB out; median seconds from the milestone before, as a watch sees them)")
    for before, milestone in zip(("created", *MILESTONES), MILESTONES, strict=False):
        spent = [max(0.0, run[milestone] - run[before]) for run in runs if milestone in run and before in run]
        if spent:
            print(f"  {milestone:<11} {statistics.median(spent):6.3f}   {MEANING[milestone]}")
