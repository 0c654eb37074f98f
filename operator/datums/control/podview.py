"""A pod as far as the operator reads it: what is kept of every pod event, about a tenth of the object."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from datums.api.names import ANNOTATION_MAIN_ENDED, ANNOTATION_STOP, GROUP, LABEL_ATTEMPT, LABEL_EXECUTION, LABEL_EXECUTION_UID

State: TypeAlias = Literal["waiting", "running", "terminated"]


class ContainerView(msgspec.Struct, frozen=True, kw_only=True):
    """One container. Times are seconds since the epoch, 0 for not yet; the kubelet gives whole seconds."""

    name: str
    state: State = "waiting"
    reason: str = ""
    """The kubelet's word: `ImagePullBackOff`, `OOMKilled`, `Completed`, …"""
    message: str = ""
    """Of a waiting container why it waits; of a terminated one its termination message."""
    exit_code: int | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    restarts: int = 0
    image_id: str = ""
    """With the digest, once the image is there."""

    @property
    def has_started(self) -> bool:
        """Whether its process ran at some time."""
        return self.state != "waiting" or self.restarts > 0


class PodView(msgspec.Struct, frozen=True, kw_only=True):
    """One pod. Times are seconds since the epoch, 0 for not yet."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: dict[str, str]
    """Those of Datums."""
    annotations: dict[str, str]
    """Those of Datums."""
    owner_uid: str
    """Of the controlling ownerReference."""
    node: str
    phase: str
    reason: str
    """`status.reason`: `Evicted`, `NodeLost`, …"""
    message: str
    created_at: float
    deleted_at: float
    """When its deletion was asked for."""
    gone_by: float
    """When the grace of its deletion ends."""
    scheduled_at: float
    unschedulable: str
    """The scheduler's sentence while it finds no node."""
    disruption: str
    """Reason of the condition `DisruptionTarget`: `PreemptionByScheduler`, `EvictionByEvictionAPI`, …"""
    disruption_message: str
    containers: dict[str, ContainerView]
    """Init containers, sidecars and regular ones, by name."""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> PodView:
        """The view of a Pod as the API server gives it; what is absent is empty."""
        meta, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        scheduled = conditions.get("PodScheduled") or {}
        disruption = conditions.get("DisruptionTarget") or {}
        is_disrupted = disruption.get("status") == "True"
        is_scheduled = scheduled.get("status") == "True"
        gone_by = epoch(meta.get("deletionTimestamp"))
        listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        return cls(
            namespace=meta.get("namespace", ""),
            name=meta["name"],
            uid=meta.get("uid", ""),
            resource_version=meta.get("resourceVersion", ""),
            labels=_ours(meta.get("labels")),
            annotations=_ours(meta.get("annotations")),
            owner_uid=next((o["uid"] for o in meta.get("ownerReferences") or () if o.get("controller")), ""),
            node=spec.get("nodeName") or "",
            phase=status.get("phase") or "Pending",
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            created_at=epoch(meta.get("creationTimestamp")),
            # The API server moves the timestamp ahead by the grace.
            deleted_at=gone_by - (meta.get("deletionGracePeriodSeconds") or 0) if gone_by else 0.0,
            gone_by=gone_by,
            scheduled_at=epoch(scheduled.get("lastTransitionTime")) if is_scheduled else 0.0,
            unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
            disruption=disruption.get("reason", "") if is_disrupted else "",
            disruption_message=disruption.get("message", "") if is_disrupted else "",
            containers={c["name"]: _container(c) for c in listed},
        )

    @property
    def execution_uid(self) -> str:
        """Uid of the execution whose pod this says it is."""
        return self.labels.get(LABEL_EXECUTION_UID, "")

    @property
    def execution(self) -> str:
        """Name of that execution."""
        return self.labels.get(LABEL_EXECUTION, "")

    @property
    def attempt(self) -> int:
        """Its attempt, 0 where the label is broken."""
        text = self.labels.get(LABEL_ATTEMPT, "")
        return int(text) if text.isdecimal() else 0

    @property
    def stop(self) -> str | None:
        """The grace that `ship` was told to stop main with; None while it was not."""
        return self.annotations.get(ANNOTATION_STOP)

    @property
    def main_ended(self) -> str | None:
        """The exit code that `ship` was told; None while it was not."""
        return self.annotations.get(ANNOTATION_MAIN_ENDED)

    @property
    def is_over(self) -> bool:
        """Whether no container of it runs or will run."""
        return self.phase in ("Succeeded", "Failed")

    def container(self, name: str) -> ContainerView:
        """A container by name; one that waits where the kubelet has said nothing of it yet."""
        return self.containers.get(name) or ContainerView(name=name)


def epoch(timestamp: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp; 0 for none."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def _ours(entries: Mapping[str, str] | None) -> dict[str, str]:
    return {k: v for k, v in (entries or {}).items() if k.startswith(GROUP + "/")}


def _container(status: Mapping[str, Any]) -> ContainerView:
    state: State = "waiting"
    details: Mapping[str, Any] = {}
    for name in ("waiting", "running", "terminated"):
        if name in (status.get("state") or {}):
            state, details = name, status["state"][name] or {}
    return ContainerView(
        name=status["name"],
        state=state,
        reason=details.get("reason") or "",
        message=details.get("message") or "",
        exit_code=details.get("exitCode"),
        started_at=epoch(details.get("startedAt")),
        finished_at=epoch(details.get("finishedAt")),
        restarts=status.get("restartCount") or 0,
        image_id=status.get("imageID") or "",
    )
