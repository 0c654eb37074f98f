"""What a user's pod template may say, and what of it goes into the pod. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from datums.api.execution import ExecutionSpec
from datums.api.names import AUDIENCE, GROUP, LABEL_MANAGED_BY
from datums.api.reasons import Failed
from datums.control.executions.attempt import SECRET_PREFIX
from datums.control.executions.errors import NotStartable

MAIN: Final = "main"
VOLUME_PREFIX: Final = "datums-"
VARIABLE_PREFIX: Final = "VH_"

_NOT_IN_POD: Final = {
    "initContainers": "Datums runs the containers fetch, ship and gate beside the command, and no others",
    "ephemeralContainers": "add one to the running pod with kubectl debug",
    "restartPolicy": "a failed command is tried again by spec.backoffLimit",
    "activeDeadlineSeconds": "it would kill the upload: set spec.activeDeadlineSeconds",
    "shareProcessNamespace": "the command could reach into the containers that hold the storage credentials",
    "hostPID": "the command could reach into the containers that hold the storage credentials",
}
_NOT_IN_MAIN: Final = {
    "image": "set spec.image",
    "imagePullPolicy": "set spec.imagePullPolicy",
    "command": "set spec.command",
    "args": "set spec.command",
    "workingDir": "the command starts in /valohai/repository; change the directory in spec.command",
    "env": "set spec.env",
    "envFrom": "set spec.envFrom",
    "resources": "set spec.resources",
    "restartPolicy": "a failed command is tried again by spec.backoffLimit",
}
_OUR_PLACES: Final = ("/datums", "/valohai")
_NOT_COPIED: Final = ("argocd.argoproj.io/", f"{GROUP}/")
_INSTANCE_LABEL: Final = "app.kubernetes.io/instance"


def check(spec: ExecutionSpec) -> None:
    """Refuses what would break the pod's own parts or reach for their credentials.

    Raises:
        NotStartable: InvalidPodTemplate, naming the field.
    """
    template = spec.template.spec
    for field, why in _NOT_IN_POD.items():
        if template.get(field):
            raise _refused(field, why)
    containers = template.get("containers") or []
    for i, container in enumerate(_objects(containers, "containers")):
        if container.get("name") != MAIN:
            told = f"the only container is {MAIN}, the one that runs the command"
            raise _refused(f"containers[{i}].name", f"it is {container.get('name')!r}, but {told}")
        for field, why in _NOT_IN_MAIN.items():
            if field in container:
                raise _refused(f"containers[{i}].{field}", why)
        for kind, where in (("volumeMounts", "mountPath"), ("volumeDevices", "devicePath")):
            for j, mount in enumerate(_objects(container.get(kind) or [], f"containers[{i}].{kind}")):
                _check_mount(mount, f"containers[{i}].{kind}[{j}]", where)
    if len(containers) > 1:
        raise _refused("containers", f"{MAIN} is there {len(containers)} times")
    for i, volume in enumerate(_objects(template.get("volumes") or [], "volumes")):
        if str(volume.get("name", "")).startswith(VOLUME_PREFIX):
            raise _refused(f"volumes[{i}].name", f"names that begin with {VOLUME_PREFIX} are Datums' own: choose another")
        for source in (volume.get("projected") or {}).get("sources") or []:
            if isinstance(source, Mapping) and (source.get("serviceAccountToken") or {}).get("audience") == AUDIENCE:
                raise _refused(f"volumes[{i}]", f"a token for audience {AUDIENCE} is for Datums' own containers only")
    named = {"template.spec": template, "env": msgspec.to_builtins(spec.env), "envFrom": msgspec.to_builtins(spec.env_from)}
    for path, text in _strings(named, "spec"):
        if text.startswith(SECRET_PREFIX):
            raise NotStartable(
                Failed.INVALID_POD_TEMPLATE,
                f"{path} refers to {text}: Secrets of that name hold storage credentials for Datums alone",
            )


def main_of(spec: ExecutionSpec) -> dict[str, Any]:
    """What the template says of the main container, without its name."""
    containers = spec.template.spec.get("containers") or [{}]
    return {k: v for k, v in containers[0].items() if k != "name"}


def pod_of(spec: ExecutionSpec) -> dict[str, Any]:
    """What the template says of the pod besides containers and volumes."""
    return {k: v for k, v in spec.template.spec.items() if k not in ("containers", "volumes", *_NOT_IN_POD)}


def volumes_of(spec: ExecutionSpec) -> list[dict[str, Any]]:
    """The volumes of the template."""
    return list(spec.template.spec.get("volumes") or [])


def labels_of(spec: ExecutionSpec) -> dict[str, str]:
    """The template's labels, without those that say whose an object is: a GitOps tool would take the pod for its own."""
    ours = (LABEL_MANAGED_BY, _INSTANCE_LABEL)
    return {k: v for k, v in spec.template.metadata.labels.items() if k not in ours and not k.startswith(_NOT_COPIED)}


def annotations_of(spec: ExecutionSpec) -> dict[str, str]:
    """The template's annotations, without those that say whose an object is."""
    return {k: v for k, v in spec.template.metadata.annotations.items() if not k.startswith(_NOT_COPIED)}


def _check_mount(mount: Mapping[str, Any], path: str, where: str) -> None:
    if str(mount.get("name", "")).startswith(VOLUME_PREFIX):
        raise _refused(f"{path}.name", f"the volumes whose names begin with {VOLUME_PREFIX} are Datums' own")
    # Two leading slashes survive normpath.
    place = "/" + posixpath.normpath(str(mount.get(where, ""))).strip("/")
    if place == "/" or any(place == ours or place.startswith(ours + "/") for ours in _OUR_PLACES):
        raise _refused(f"{path}.{where}", f"{place} would cover {' or '.join(_OUR_PLACES)}, which are Datums' own: choose another")


def _objects(values: Any, field: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(values, list):
        raise _refused(field, "it must be a list")
    for i, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise _refused(f"{field}[{i}]", "it must be an object")
        yield value


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            # A value of the user's own that happens to look like that name refers to nothing.
            if key != "value":
                yield from _strings(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _strings(item, f"{path}[{i}]")


def _refused(field: str, why: str) -> NotStartable:
    return NotStartable(Failed.INVALID_POD_TEMPLATE, f"spec.template.spec.{field} is refused: {why}")
