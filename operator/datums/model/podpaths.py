"""Paths inside an execution's pod: the one place where the pod builder and what runs in the pod agree on them."""

from __future__ import annotations

# The container contract: what user code sees.
INPUTS = "/valohai/inputs"
OUTPUTS = "/valohai/outputs"
CONFIG = "/valohai/config"
REPOSITORY = "/valohai/repository"

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
