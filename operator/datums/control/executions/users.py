"""Which user runs what in a pod: `ship` must read what main wrote, and no container gets more rights than it needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_BARE: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Users(msgspec.Struct, frozen=True):
    """The security contexts of a pod."""

    pod: dict[str, Any]
    main: dict[str, Any]
    fetch: dict[str, Any]
    ship: dict[str, Any]
    gate: dict[str, Any]


def users(pod: Mapping[str, Any], main: Mapping[str, Any], restricted: bool, fallback: int) -> Users:
    """The security contexts.

    Args:
        pod: the template's, of the pod.
        main: the template's, of the main container.
        restricted: the namespace enforces the Pod Security Standard `restricted`.
        fallback: user and group id there, for a pod that names none.
    """
    pod, main = dict(pod), dict(main)
    if restricted:
        if _of(pod, main, "runAsUser") is None:
            pod |= {"runAsUser": fallback, "runAsGroup": pod.get("runAsGroup", fallback), "fsGroup": pod.get("fsGroup", fallback)}
        pod = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **pod}
        main = {**_BARE, **main}
    user, group = _of(pod, main, "runAsUser"), _of(pod, main, "runAsGroup")
    ours: dict[str, Any] = {**_BARE, "readOnlyRootFilesystem": True}
    if user:
        ours |= {"runAsUser": user, "runAsNonRoot": True} | ({} if group is None else {"runAsGroup": group})
        return Users(pod, main, ours, ours, ours)
    # Root, or whoever the image names: its files may belong to anybody.
    ours |= {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
    ship = {**ours, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}}
    return Users(pod, main, ours, ship, ours)


def _of(pod: Mapping[str, Any], main: Mapping[str, Any], field: str) -> Any:
    return main.get(field, pod.get(field))
