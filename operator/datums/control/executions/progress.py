"""Where a running attempt is, in words. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from datums.api.reasons import Waiting
from datums.control.executions import units
from datums.control.executions.pods import FETCH, MAIN, SHIP
from datums.control.podview import ContainerView, PodView
from datums.model.commit import Report

PULL_AT_ONCE: Final = ("ErrImageNeverPull", "InvalidImageName")
"""What no second try can mend."""
PULL_FAILS: Final = ("ImagePullBackOff", *PULL_AT_ONCE)
"""The first `ErrImagePull` may be a hiccup; the back-off after it is a failure that lasts."""

_AFTER_MAIN: Final = ("Uploading", "Committing", "Committed")
_SPEAKS_OF: Final = {
    "Downloading": (Waiting.DOWNLOADING,),
    **dict.fromkeys(("Running", *_AFTER_MAIN), (Waiting.RUNNING, Waiting.STOPPING, Waiting.UPLOADING, Waiting.COMMITTING)),
}
"""Phase of a report → the reasons beside which its trouble is told: that of the downloads is over when the command runs."""


class Shown(NamedTuple):
    """Reason and message of the condition, and the printer column."""

    reason: str
    """Of `api.reasons.Waiting`, or the one of `api.reasons.Failed` that keeps it from starting."""
    message: str
    progress: str = ""


def shown(pod: PodView, report: Report | None, stopping: str) -> Shown:
    """What to show of an attempt that goes on.

    Args:
        stopping: why main was told to end; empty if it was not.
    """
    where = _where(pod, report, stopping)
    if report is not None and report.trouble and where.reason in _SPEAKS_OF[report.phase]:
        return where._replace(message=f"{where.message}; {report.trouble}")
    return where


def failing_pull(pod: PodView) -> tuple[ContainerView, float] | None:
    """A container whose image cannot be pulled, and since when it could have been (seconds since the epoch)."""
    since = pod.scheduled_at
    for name in (FETCH, SHIP, MAIN):
        container = pod.container(name)
        if container.state == "waiting" and container.reason in PULL_FAILS:
            return container, since
        since = max(since, container.finished_at if name == FETCH else container.started_at)
    return None


def _where(pod: PodView, report: Report | None, stopping: str) -> Shown:
    main, fetch = pod.container(MAIN), pod.container(FETCH)
    # A report is sooner here than the kubelet's word on the same thing.
    if main.state == "terminated" or (main.state == "running" and report is not None and report.phase in _AFTER_MAIN):
        return _after(main, report)
    if stopping or pod.deleted_at:
        return Shown(Waiting.STOPPING, stopping or f"pod {pod.name} is being deleted: what the command wrote is saved", "stopping")
    if not pod.scheduled_at:
        return Shown(Waiting.QUEUED, pod.unschedulable or f"pod {pod.name} waits for a node")
    if main.state == "running":
        return _running(report)
    if fetch.state == "running" or (fetch.state == "waiting" and report is not None and report.phase == "Downloading"):
        return _downloading(report)
    waiting = next((c for c in (fetch, pod.container(SHIP), main) if c.state == "waiting" and c.message), None)
    if waiting is not None:
        return Shown(Waiting.PULLING, f"container {waiting.name}: {waiting.reason}: {waiting.message}")
    what = "the image of the command" if fetch.state == "terminated" else "the images"
    return Shown(Waiting.PULLING, f"node {pod.node} gets {what} and starts the containers")


def _downloading(report: Report | None) -> Shown:
    if report is None or report.phase != "Downloading":
        return Shown(Waiting.DOWNLOADING, "the inputs are listed and downloaded")
    return Shown(Waiting.DOWNLOADING, f"inputs: {_moved(report)}", _column(report, "in"))


def _running(report: Report | None) -> Shown:
    if report is None or report.phase == "Downloading" or not report.files:
        return Shown(Waiting.RUNNING, "the command runs", "running")
    return Shown(
        Waiting.RUNNING, f"the command runs; outputs uploaded so far: {_moved(report)}", f"running, {_column(report, 'out')}"
    )


def _after(main: ContainerView, report: Report | None) -> Shown:
    ended = "the command ended" if main.exit_code is None else f"the command ended with code {main.exit_code}"
    if report is None or report.phase not in _AFTER_MAIN:
        return Shown(Waiting.UPLOADING, f"{ended}; its outputs are being saved", "uploading")
    if report.phase != "Uploading":
        return Shown(
            Waiting.COMMITTING, f"{ended}; the list of {units.outputs(report.files)} is written and verified", "committing"
        )
    return Shown(Waiting.UPLOADING, f"{ended}; outputs: {_moved(report)}", _column(report, "out"))


def _moved(report: Report) -> str:
    """`312 of 1,000 files, 1.2 GB of 2.9 GB, 120 MB/s, 14s left`, as far as it is known."""
    parts = [f"{_of(report)} files", units.size(report.bytes)]
    if report.total_bytes:
        parts[-1] += f" of {units.size(report.total_bytes)}"
    if report.rate:
        parts.append(f"{units.size(report.rate)}/s")
        if report.total_bytes > report.bytes:
            parts.append(f"{units.duration((report.total_bytes - report.bytes) / report.rate)} left")
    return ", ".join(parts)


def _column(report: Report, way: str) -> str:
    """`312/1,000 in, 41%`: of the bytes, or where there are none of the files."""
    text = f"{_of(report, '/')} {way}"
    done, total = (report.bytes, report.total_bytes) if report.total_bytes else (report.files, report.total_files)
    return f"{text}, {min(done, total) * 100 // total}%" if total else text


def _of(report: Report, between: str = " of ") -> str:
    return f"{report.files:,}{between}{report.total_files:,}" if report.total_files else f"{report.files:,}"
