"""The pod of an attempt. Pure."""

from __future__ import annotations

from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import msgspec

from datums.api.execution import Execution, ExecutionSpec
from datums.api.names import ANNOTATION_MAIN_ENDED, ANNOTATION_STOP, AUDIENCE
from datums.control.executions import attempt as attempts
from datums.control.executions import template
from datums.control.executions.users import users
from datums.control.settings import Settings
from datums.model import podcommands, podpaths

FETCH: Final = "fetch"
SHIP: Final = "ship"
MAIN: Final = template.MAIN
GATE: Final = "gate"

_RUN, _STATE, _INPUTS, _CONFIG = "datums-run", "datums-state", "datums-inputs", "datums-config"
_OUTPUTS, _REPOSITORY, _SECRET, _PODINFO, _TOKEN = (
    "datums-outputs",
    "datums-repository",
    "datums-secret",
    "datums-podinfo",
    "datums-token",
)
_TOKEN_SECONDS: Final = 3600
_GATE_RESOURCES: Final = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}


def project_id(namespace: str) -> str:
    """UUID of a project, from its name alone: the same in every cluster that uses the bucket."""
    return str(uuid5(NAMESPACE_URL, f"https://datums.dev/projects/{namespace}"))


def build(execution: Execution, attempt: int, command: str, *, restricted: bool, settings: Settings) -> dict[str, Any]:
    """The Pod.

    Args:
        command: expanded.
        restricted: the namespace enforces the Pod Security Standard `restricted`.
    """
    spec = execution.spec
    own = template.pod_of(spec)
    main_template = template.main_of(spec)
    who = users(own.get("securityContext") or {}, main_template.get("securityContext") or {}, restricted, settings.restricted_user)
    pull = [*(own.get("imagePullSecrets") or []), *({"name": name} for name in settings.image_pull_secrets)]
    body: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.termination_grace_seconds,
        **own,
        "serviceAccountName": own.get("serviceAccountName") or own.get("serviceAccount") or "default",
        "restartPolicy": "Never",
        "securityContext": who.pod,
        "initContainers": [
            _ours(FETCH, ["python3", "-m", "datums.transfer.fetch"], who.fetch, settings, _FETCH_MOUNTS)
            | {"terminationMessagePolicy": "FallbackToLogsOnError"},
            _ours(SHIP, ["python3", "-m", "datums.transfer.ship"], who.ship, settings, _SHIP_MOUNTS) | {"restartPolicy": "Always"},
        ],
        "containers": [
            _main(execution, main_template, podcommands.main_command(command), who.main),
            _ours(GATE, podcommands.gate_command(), who.gate, settings, [_mount(_RUN, podpaths.RUN, read_only=True)])
            | {"resources": _gate_resources(settings)},
        ],
        "volumes": [*_volumes(execution, attempt), *template.volumes_of(spec)],
    }
    if pull:
        body["imagePullSecrets"] = pull
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": attempts.pod_name(execution, attempt),
            "namespace": execution.metadata.namespace,
            "labels": template.labels_of(spec) | attempts.labels(execution, attempt),
            "annotations": template.annotations_of(spec),
            "ownerReferences": [attempts.owner(execution)],
        },
        "spec": body,
    }


def environment(execution: Execution) -> list[dict[str, Any]]:
    """Main's variables. The user's win, but for those that begin with `VH_`, which user code's libraries rely on."""
    meta = execution.metadata
    ours = {
        "VH_CONFIG_DIR": podpaths.CONFIG,
        "VH_INPUTS_DIR": podpaths.INPUTS,
        "VH_OUTPUTS_DIR": podpaths.OUTPUTS,
        "VH_REPOSITORY_DIR": podpaths.REPOSITORY,
        "VH_JOB_ID": f"exec-{meta.uid}",
        "VH_EXECUTION_ID": meta.uid,
        "VH_PROJECT_ID": project_id(meta.namespace),
    }
    theirs = [msgspec.to_builtins(v) for v in execution.spec.env if not v.name.startswith(template.VARIABLE_PREFIX)]
    return [{"name": name, "value": value} for name, value in ours.items()] + theirs


def ignored_variables(spec: ExecutionSpec) -> list[str]:
    """The user's variables that Datums does not take over, because they are its own."""
    return [v.name for v in spec.env if v.name.startswith(template.VARIABLE_PREFIX)]


def _main(execution: Execution, extra: dict[str, Any], command: list[str], security: dict[str, Any]) -> dict[str, Any]:
    spec = execution.spec
    mounts = [
        _mount(_RUN, podpaths.RUN, read_only=True),
        _mount(_INPUTS, podpaths.INPUTS, read_only=True),
        _mount(_CONFIG, podpaths.CONFIG, read_only=True),
        _mount(_OUTPUTS, podpaths.OUTPUTS) | {"subPath": podpaths.OUTPUTS_SUBPATH},
        _mount(_REPOSITORY, podpaths.REPOSITORY),
    ]
    container: dict[str, Any] = {
        **extra,
        "name": MAIN,
        "image": spec.image,
        "command": command,
        "workingDir": podpaths.REPOSITORY,
        "env": environment(execution),
        "resources": msgspec.to_builtins(spec.resources),
        "volumeMounts": [*mounts, *(extra.get("volumeMounts") or [])],
    }
    if spec.env_from:
        container["envFrom"] = [msgspec.to_builtins(source) for source in spec.env_from]
    if spec.image_pull_policy:
        container["imagePullPolicy"] = spec.image_pull_policy
    if security:
        container["securityContext"] = security
    return container


def _ours(
    name: str, command: list[str], security: dict[str, Any], settings: Settings, mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    requests = {"cpu": settings.transfer_cpu_request, "memory": settings.transfer_memory_request}
    limits = {"cpu": settings.transfer_cpu_limit, "memory": settings.transfer_memory_limit}
    return {
        "name": name,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": command,
        "resources": {
            "requests": {k: v for k, v in requests.items() if v},
            "limits": {k: v for k, v in limits.items() if v},
        },
        "securityContext": security,
        "volumeMounts": mounts,
    }


def _gate_resources(settings: Settings) -> dict[str, Any]:
    # A quota on CPU limits wants one on every container.
    limits = {**_GATE_RESOURCES["limits"], **({"cpu": settings.transfer_cpu_limit} if settings.transfer_cpu_limit else {})}
    return {"requests": _GATE_RESOURCES["requests"], "limits": limits}


def _mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})


_FETCH_MOUNTS = [
    _mount(_RUN, podpaths.RUN),
    _mount(_STATE, podpaths.STATE),
    _mount(_INPUTS, podpaths.INPUTS),
    _mount(_CONFIG, podpaths.CONFIG),
    _mount(_SECRET, podpaths.SECRET, read_only=True),
    _mount(_TOKEN, podpaths.TOKEN.rsplit("/", 1)[0], read_only=True),
]
_SHIP_MOUNTS = [
    _mount(_RUN, podpaths.RUN),
    _mount(_STATE, podpaths.STATE),
    _mount(_OUTPUTS, podpaths.OUTPUTS_VOLUME),
    _mount(_SECRET, podpaths.SECRET, read_only=True),
    _mount(_PODINFO, podpaths.PODINFO, read_only=True),
    _mount(_TOKEN, podpaths.TOKEN.rsplit("/", 1)[0], read_only=True),
]


def _volumes(execution: Execution, attempt: int) -> list[dict[str, Any]]:
    told = [
        (podpaths.PODINFO_STOP, ANNOTATION_STOP),
        (podpaths.PODINFO_MAIN_ENDED, ANNOTATION_MAIN_ENDED),
    ]
    items = [
        {"path": path.rsplit("/", 1)[1], "fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}
        for path, annotation in told
    ]
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": podpaths.TOKEN.rsplit("/", 1)[1]}
    return [
        *({"name": name, "emptyDir": {}} for name in (_RUN, _STATE, _INPUTS, _CONFIG, _REPOSITORY)),
        {"name": _OUTPUTS, **_outputs_volume(execution.spec)},
        {"name": _SECRET, "secret": {"secretName": attempts.secret_name(execution, attempt), "defaultMode": 0o444}},
        {"name": _PODINFO, "downwardAPI": {"items": items}},
        {"name": _TOKEN, "projected": {"sources": [{"serviceAccountToken": token}]}},
    ]


def _outputs_volume(spec: ExecutionSpec) -> dict[str, Any]:
    volume = spec.outputs.volume
    if volume is None:
        return {"emptyDir": {}}
    if volume.claim_template is not None:
        return {"ephemeral": {"volumeClaimTemplate": msgspec.to_builtins(volume.claim_template)}}
    return {"emptyDir": msgspec.to_builtins(volume.empty_dir)}
