"""The operator's own pod: the label by which the agent's Service finds the leader, and the address that pods are given."""

from __future__ import annotations

import logging

from datums.api.names import GROUP
from datums.control.kube import PODS, SERVICES, Kube, KubeError, NotFound
from datums.control.settings import Settings, variable

log = logging.getLogger(__name__)

LABEL_LEADER = f"{GROUP}/leader"


async def label_leader(kube: Kube, settings: Settings, leads: bool) -> str:
    """Puts the leader's label on the own pod or takes it away; returns the pod's uid. Outside a pod there is nothing to label, and
    the uid is empty."""
    try:
        labels = {"metadata": {"labels": {LABEL_LEADER: "true" if leads else None}}}
        pod = await kube.patch(PODS, settings.namespace, settings.pod_name, labels)
        return str(pod["metadata"]["uid"])
    except NotFound:
        log.info("not running as pod %s/%s: no label %s", settings.namespace, settings.pod_name, LABEL_LEADER)
    except KubeError as error:
        # Only shown progress depends on it.
        log.warning("label %s was not written, pods cannot report their progress: %s", LABEL_LEADER, error)
    return ""


async def agent_url(kube: Kube, settings: Settings) -> str:
    """The URL where pods report progress: as set, else by the Service's cluster IP (pods then need no DNS), else empty."""
    if settings.agent_url or not settings.agent_service:
        return settings.agent_url.rstrip("/")
    where = f"Service {settings.namespace}/{settings.agent_service} ({variable('agent_service')})"
    try:
        spec = (await kube.get(SERVICES, settings.namespace, settings.agent_service))["spec"]
    except KubeError as error:
        log.warning("pods report no progress: cannot read %s: %s", where, error)
        return ""
    address = spec.get("clusterIP") or ""
    if address in ("", "None"):
        log.warning("pods report no progress: %s has no cluster IP", where)
        return ""
    port = next((p["port"] for p in spec.get("ports") or []), settings.agent_port)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
