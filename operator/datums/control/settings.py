"""Every setting of the operator: one dataclass, from `DATUMS_*` environment variables and flags of the same names."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from datums.api.generated import main

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(ValueError):
    """A setting that cannot be used. The message names the variable, its value and what is right."""


def _setting(default: Any, doc: str) -> Any:
    if callable(default):
        return field(default_factory=default, metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


def _own_namespace() -> str:
    return _OWN_NAMESPACE.read_text().strip() if _OWN_NAMESPACE.exists() else "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the operator. Times are in seconds. `documented()` gives what each means."""

    kubeconfig: str = _setting("", "Path of a kubeconfig; empty: $KUBECONFIG, else the pod's service account, else ~/.kube/config.")
    namespaces: tuple[str, ...] = _setting(
        (), "Namespaces to work in, separated by commas, with rights in these only; empty: the whole cluster."
    )
    namespace: str = _setting(_own_namespace, "The operator's own namespace, where its Lease lies; a pod knows it by itself.")
    pod_name: str = _setting(
        socket.gethostname, "The operator's own pod, which carries the leader's label; a pod knows it by itself."
    )
    lease_name: str = _setting("datums-operator", "Name of the Lease by which one replica is the leader.")
    lease_seconds: float = _setting(15.0, "How long a leader that gave no sign of life keeps the Lease.")
    lease_renew_seconds: float = _setting(10.0, "How long a leader tries to renew the Lease before its process ends.")
    lease_retry_seconds: float = _setting(2.0, "Time between two looks at the Lease, and between two renewals.")
    liveness_seconds: float = _setting(90.0, "How old the last sign of a working watch may be before /healthz fails.")
    workers: int = _setting(16, "Reconciliations at once.")
    store_threads: int = _setting(8, "Threads that talk to stores (probes, verification of commits).")
    sweep_seconds: float = _setting(600.0, "Time between two full lists, which find what the watches missed.")
    probe_seconds: float = _setting(600.0, "Time between two probes of a DataStore that nothing has changed.")
    probe_retry_seconds: float = _setting(15.0, "Time between two probes of a DataStore that is not ready.")
    probe_timeout_seconds: float = _setting(20.0, "How long one probe may take before the DataStore is EndpointUnreachable.")
    secret_check_seconds: float = _setting(15.0, "Time between two looks at the version of a DataStore's Secret.")
    secret_retry_seconds: float = _setting(5.0, "The same while the DataStore is not ready.")
    upload_sweep_seconds: float = _setting(
        3600.0, "Time between two looks for unfinished uploads of attempts that are over; they are billed, and seen nowhere."
    )
    upload_keep_seconds: float = _setting(
        172800.0, "How old such an upload must be before it is removed from the store; it protects those of other clusters."
    )
    image: str = _setting("datums:dev", "Image of the containers fetch, ship and gate: the operator's own.")
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = _setting("IfNotPresent", "Pull policy of that image.")
    image_pull_secrets: tuple[str, ...] = _setting(
        (), "Names of the pull Secrets of that image, separated by commas; each namespace with executions must have them."
    )
    image_pull_grace_seconds: float = _setting(
        120.0, "How long an image may fail to be pulled before the attempt ends with ImagePullFailed."
    )
    transfer_cpu_request: str = _setting("10m", "CPU request of fetch and of ship.")
    transfer_cpu_limit: str = _setting("", "CPU limit of fetch and of ship; empty for none.")
    transfer_memory_request: str = _setting("64Mi", "Memory request of fetch and of ship.")
    transfer_memory_limit: str = _setting("1Gi", "Memory limit of fetch and of ship; empty for none.")
    termination_grace_seconds: int = _setting(
        600, "What a deleted pod has left to save its outputs, unless its template says otherwise."
    )
    restricted_user: int = _setting(
        1000, "User and group id of pods that name none, in namespaces that enforce the restricted Pod Security Standard."
    )
    bind_address: str = _setting("", "Address that the two ports below listen on; empty for all.")
    metrics_port: int = _setting(8080, "Port of /healthz, /readyz and /metrics.")
    agent_port: int = _setting(8081, "Port where pods report their progress.")
    agent_service: str = _setting(
        "", "Service in the operator's namespace that leads to the leader's agent port; pods are given its cluster IP."
    )
    agent_url: str = _setting("", "URL given to pods instead of that Service's; empty together with it: pods report no progress.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = _setting("INFO", "Least severe level that is logged.")
    log_format: Literal["json", "text"] = _setting("json", "One JSON object a line, or text for people.")

    def __post_init__(self) -> None:
        if not 0 < self.lease_retry_seconds < self.lease_renew_seconds < self.lease_seconds:
            names = ("lease_retry_seconds", "lease_renew_seconds", "lease_seconds")
            given = ", ".join(f"{variable(n)}={getattr(self, n):g}" for n in names)
            raise SettingsError(f"these times must all be above 0 and grow in this order: {given}")
        for name in ("workers", "store_threads", "upload_sweep_seconds"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{variable(name)} is {getattr(self, name):g}: it must be at least 1")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"DATUMS_{name.upper()}"


def flag(name: str) -> str:
    """The flag of a setting."""
    return f"--{name.replace('_', '-')}"


def documented() -> list[tuple[str, str, str]]:
    """(name, default as text, what it means) of every setting, in the order of the class."""
    listed = []
    for each in fields(Settings):
        default = "the pod's own" if callable(each.default_factory) else _text(each.default)
        listed.append((each.name, default, each.metadata["doc"]))
    return listed


def load(environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Settings:
    """The settings; flags win over the environment.

    Args:
        flags: setting → value as text; None and absent ones are not set.

    Raises:
        SettingsError: a value that cannot be used.
    """
    hints = get_type_hints(Settings)
    values: dict[str, Any] = {}
    for name in (each.name for each in fields(Settings)):
        given = (flags or {}).get(name)
        text = environ.get(variable(name)) if given is None else given
        if text is not None:
            values[name] = _parse(variable(name), text, hints[name])
    return Settings(**values)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """The `DATUMS_*` variables that are no setting: misspelt, or put there for somebody else."""
    known = {variable(each.name) for each in fields(Settings)}
    return sorted(name for name in environ if name.startswith("DATUMS_") and name not in known)


def reference() -> str:
    """The reference page of the settings, Markdown."""
    lines = [
        "<!-- Generated from operator/datums/control/settings.py by `python -m datums.control.settings`. -->",
        "",
        "# Settings of the operator",
        "",
        "Each is an environment variable and a flag of `datums operator`; the flag wins. Times are in seconds.",
        "",
        "| variable | flag | default | meaning |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{variable(n)}` | `{flag(n)}` | {f'`{d}`' if d else ''} | {doc} |" for n, d, doc in documented()]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _parse(name: str, text: str, hint: Any) -> Any:
    if hint is str:
        return text
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError:
            raise SettingsError(f"{name} is {text!r}: it must be {'a whole number' if hint is int else 'a number'}") from None
    allowed: Sequence[Any] = get_args(hint)
    if allowed and Ellipsis not in allowed:
        if text not in allowed:
            raise SettingsError(f"{name} is {text!r}: it must be one of {', '.join(allowed)}")
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


if __name__ == "__main__":
    sys.exit(main({Path("docs/reference/settings.md"): reference()}, "python -m datums.control.settings"))
