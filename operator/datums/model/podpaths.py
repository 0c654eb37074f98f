"""Paths inside an execution's pod: the one place where the pod builder and what runs in the pod agree on them."""

from __future__ import annotations

# The container contract: what user code sees.
INPUTS = "/valohai/inputs"
OUTPUTS = "/valohai/outputs"
CONFIG = "/valohai/config"
REPOSITORY = "/valohai/repository"

# The outputs volume. Main mounts its sub-directory (subPath) at OUTPUTS, `ship` the whole volume at OUTPUTS_VOLUME: so a file that
# was made read-only leaves main's sight by a rename within one mount. The kubelet makes the sub-directory, writable for everybody.
OUTPUTS_VOLUME = "/datums/outputs"
OUTPUTS_SUBPATH = "files"

# Tools and FIFOs: written by `fetch`, mounted read-only in main (a FIFO can be written on a read-only mount).
RUN = "/datums/run"
BUSYBOX = f"{RUN}/busybox"
TINI = f"{RUN}/tini-static"
LIFELINE = f"{RUN}/lifeline"
STOP = f"{RUN}/stop"
GATE = f"{RUN}/gate"
VERDICT = f"{RUN}/verdict"

# Mounted in `fetch` and `ship` only. The journal lies here: user code that could write it could make a datum
# of a key that is not its own.
STATE = "/datums/state"
SECRET = "/datums/secret"  # noqa: S105  a path
PLAN = f"{SECRET}/plan.json"
PODINFO = "/datums/podinfo"
PODINFO_STOP = f"{PODINFO}/stop"
PODINFO_MAIN_ENDED = f"{PODINFO}/main-ended"
TOKEN = "/datums/token/token"  # noqa: S105  a path

TERMINATION_LOG = "/dev/termination-log"

# `ship` serves the calls of api.json here, on the loopback interface only.
AGENT_PORT = 8465


def status_detail_path(execution_uid: str) -> str:
    """The path of `set_status_detail`. It names the execution: on a host's own network another pod's `ship` may hold the port."""
    return f"/v1/executions/{execution_uid}/status-detail"


def status_detail_url(execution_uid: str) -> str:
    """Where `set_status_detail` is posted to, for api.json."""
    return f"http://127.0.0.1:{AGENT_PORT}{status_detail_path(execution_uid)}"
