"""The plan of an attempt, from the spec and what its names were resolved to. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from datums.api.execution import Execution
from datums.control.executions.attempt import ref
from datums.control.executions.command import values_of
from datums.control.executions.pods import project_id
from datums.control.executions.resolve import Resolution
from datums.control.podview import epoch
from datums.model.plan import OutputPlan, Plan, StoreAccess


def plan_of(
    execution: Execution, attempt: int, resolved: Resolution, access: Mapping[str, StoreAccess], command: str, agent_url: str
) -> Plan:
    """The plan of an attempt.

    Args:
        access: by `<namespace>/<name>`, for every store of the resolution.
        command: expanded.
    """
    spec, values = execution.spec, values_of(execution.spec)
    return Plan(
        execution=ref(execution, attempt),
        stores=dict(access),
        output=OutputPlan(store=resolved.output, datum_limit=spec.outputs.datum_limit, packs=spec.outputs.packs),
        inputs=resolved.inputs,
        parameters=values,
        config=config_of(execution),
        provenance={
            "execution": msgspec.to_builtins(ref(execution, attempt)),
            "image": spec.image,
            "command": command,
            "parameters": values,
        },
        agent_url=agent_url,
    )


def config_of(execution: Execution) -> dict[str, Any]:
    """`/valohai/config/execution.json`. A Kubernetes cluster counts no executions: the counter is a number that follows from the
    uid, below a million, so that it stays the same for every attempt. Who created the object is not known to it."""
    meta, namespace = execution.metadata, execution.metadata.namespace
    created = datetime.fromtimestamp(epoch(meta.creation_timestamp), UTC).isoformat()
    return {
        "valohai.execution-id": meta.uid,
        "valohai.execution-counter": zlib.crc32(meta.uid.encode()) % 1_000_000,
        "valohai.execution-title": meta.name,
        "valohai.execution-step": meta.name,
        "valohai.execution-image": execution.spec.image,
        "valohai.execution-status": "created",
        "valohai.execution-ctime": created,
        "valohai.execution-duration": None,
        "valohai.execution-qtime": None,
        "valohai.execution-tags": [],
        "valohai.project-id": project_id(namespace),
        "valohai.project-name": f"{namespace}/{namespace}",
        "valohai.commit-identifier": "",
        "valohai.creator-email": "",
        "valohai.creator-id": None,
        "valohai.creator-name": "",
        "valohai.environment-id": project_id(namespace),
        "valohai.environment-name": "kubernetes",
        "valohai.environment-slug": "kubernetes",
    }
