"""Executions and pods as the API server would give them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from datums.api.execution import Execution
from datums.control.executions.verify import Verified
from datums.control.podview import PodView
from datums.model.commit import Commit, ManifestRef, Pinned, Problem, Resolved, Saved
from datums.model.plan import ExecutionRef

NOW = 1_790_000_000.0
UID = "0f0e0d0c-1111-4222-8333-444455556666"


def at(seconds: float) -> str:
    """NOW plus so many seconds, as a timestamp."""
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def execution(status: dict[str, Any] | None = None, name: str = "train", **spec: Any) -> Execution:
    meta = {"name": name, "namespace": "churn", "uid": UID, "generation": 1, "resourceVersion": "7", "creationTimestamp": at(-10)}
    spec = {"image": "python:3.12", "command": "true"} | spec
    return msgspec.convert({"metadata": meta, "spec": spec, "status": status or {}}, Execution)


def active(**spec: Any) -> Execution:
    """One whose first attempt has a pod."""
    return execution({"attempt": 1, "pod": "train-1-x", "startTime": at(-10)}, **spec)


def settled(reason: str = "Committed", **spec: Any) -> Execution:
    word = "True" if reason == "Committed" else "False"
    condition = {"type": "Succeeded", "status": word, "reason": reason, "message": "", "lastTransitionTime": at(0)}
    return execution({"attempt": 1, "pod": "train-1-x", "conditions": [condition], "completionTime": at(0)}, **spec)


def pod(
    *,
    phase: str = "Running",
    attempt: int = 1,
    meta: dict[str, Any] | None = None,
    conditions: tuple[dict[str, Any], ...] = ({"type": "PodScheduled", "status": "True", "lastTransitionTime": ""},),
    status: dict[str, Any] | None = None,
    **containers: dict[str, Any],
) -> PodView:
    conditions = tuple(c | {"lastTransitionTime": c.get("lastTransitionTime") or at(-9)} for c in conditions)
    body = {
        "metadata": {
            "name": f"train-{attempt}-x",
            "namespace": "churn",
            "uid": f"pod-{attempt}",
            "creationTimestamp": at(-10),
            "labels": {"datums.dev/attempt": str(attempt), "datums.dev/execution-uid": UID},
            **(meta or {}),
        },
        "spec": {"nodeName": "node-1"},
        "status": {
            "phase": phase,
            "conditions": list(conditions),
            "containerStatuses": [{"name": n, "restartCount": 0, "imageID": "", "state": s} for n, s in containers.items()],
            **(status or {}),
        },
    }
    return PodView.from_body(body)


def running() -> dict[str, Any]:
    return {"running": {"startedAt": at(-5)}}


def waiting(reason: str = "PodInitializing", message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int = 0, reason: str = "", message: str = "", when: float = -1) -> dict[str, Any]:
    word = reason or ("Completed" if code == 0 else "Error")
    return {"terminated": {"exitCode": code, "reason": word, "message": message, "startedAt": at(-5), "finishedAt": at(when)}}


def deleted(ago: float, grace: int = 600) -> dict[str, Any]:
    """Metadata of a pod whose deletion was asked for so long ago."""
    return {"deletionTimestamp": at(grace - ago), "deletionGracePeriodSeconds": grace}


def verified(
    files: int = 2, problems: tuple[Problem, ...] = (), pinned: tuple[Pinned, ...] = (), reasons: tuple[str, ...] = ()
) -> Verified:
    saved = Saved(
        files=files, bytes=files * 10, manifest=ManifestRef("churn/ml", "k", "0" * 64), refused=len(problems), problems=[*problems]
    )
    inputs = Resolved(files=len(pinned), bytes=1, pinned=[*pinned], not_reproducible=[*reasons])
    ref = ExecutionRef(namespace="churn", name="train", uid=UID, attempt=1)
    return Verified(Commit(execution=ref, set="a" * 15, created=at(0), outputs=saved, inputs=inputs), ())
