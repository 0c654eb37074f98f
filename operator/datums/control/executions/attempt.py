"""What an attempt is called: its pod, its Secret, its place in the store. Pure."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from datums.api.execution import Execution
from datums.api.names import API_VERSION, LABEL_ATTEMPT, LABEL_EXECUTION, LABEL_EXECUTION_UID, LABEL_MANAGED_BY, MANAGED_BY
from datums.model.plan import ExecutionRef

SECRET_PREFIX: Final = "datums-attempt-"  # noqa: S105  a name
_LONGEST_NAME: Final = 63


def ref(execution: Execution, attempt: int) -> ExecutionRef:
    """The attempt as plans and commits name it."""
    meta = execution.metadata
    return ExecutionRef(namespace=meta.namespace, name=meta.name, uid=meta.uid, attempt=attempt)


def pod_name(execution: Execution, attempt: int) -> str:
    """`<execution>-<attempt>-<5 characters of the uid's digest>`: the same for every try, another one for another execution of
    the same name; at most 63 characters, for it is the pod's host name too."""
    end = f"-{attempt}-{hashlib.sha256(execution.metadata.uid.encode()).hexdigest()[:5]}"
    return execution.metadata.name[: _LONGEST_NAME - len(end)].rstrip("-.") + end


def secret_name(execution: Execution, attempt: int) -> str:
    """The Secret with the plan and the credentials, which the pod's own containers mount."""
    return f"{SECRET_PREFIX}{execution.metadata.uid[:8]}-{attempt}"


def labels(execution: Execution, attempt: int) -> dict[str, str]:
    """What every object that is made for an attempt carries."""
    return {
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_EXECUTION: execution.metadata.name,
        LABEL_EXECUTION_UID: execution.metadata.uid,
        LABEL_ATTEMPT: str(attempt),
    }


def owner(execution: Execution) -> dict[str, Any]:
    """The ownerReference of the execution's children."""
    meta = execution.metadata
    return {
        "apiVersion": API_VERSION,
        "kind": "Execution",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
