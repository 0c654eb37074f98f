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
    if report is not None and report.trouble:
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
    if main.state == "terminated":
        return _after(main, report)
    if stopping or pod.deleted_at:
        return Shown(Waiting.STOPPING, stopping or f"pod {pod.name} is being deleted: what the command wrote is saved", "stopping")
    if not pod.scheduled_at:
        return Shown(Waiting.QUEUED, pod.unschedulable or f"pod {pod.name} waits for a node")
    if main.state == "running":
        return _running(report)
    if fetch.state == "running":
        return _downloading(report)
    waiting = next((c for c in (fetch, pod.container(SHIP), main) if c.state == "waiting" and c.message), None)
    if waiting is not None:
        return Shown(Waiting.PULLING, f"container {waiting.name}: {waiting.reason}: {waiting.message}")
    what = "the image of the command" if fetch.state == "terminated" else "the images"
    return Shown(Waiting.PULLING, f"node {pod.node} gets {what} and starts the containers")


def _downloading(report: Report | None) -> Shown:
    if report is None or report.phase != "Downloading":
        return Shown(Waiting.DOWNLOADING, "the inputs are listed and downloaded")
    files, size = _of(report.files, report.total_files), units.size(report.bytes)
    parts = [f"inputs: {files} files"]
    if report.total_bytes:
        parts.append(f"{size} of {units.size(report.total_bytes)}")
    else:
        parts.append(size)
    if report.rate:
        parts.append(f"{units.size(report.rate)}/s")
        if report.total_bytes:
            parts.append(f"{units.duration((report.total_bytes - report.bytes) / report.rate)} left")
    return Shown(Waiting.DOWNLOADING, ", ".join(parts), f"{files} inputs")


def _running(report: Report | None) -> Shown:
    if report is None or report.phase == "Downloading" or not report.files:
        return Shown(Waiting.RUNNING, "the command runs", "running")
    done = f"{units.outputs(report.files)} ({units.size(report.bytes)})"
    return Shown(Waiting.RUNNING, f"the command runs; {done} uploaded so far", f"{units.outputs(report.files)} up")


def _after(main: ContainerView, report: Report | None) -> Shown:
    ended = f"the command ended with code {main.exit_code}"
    if report is None or report.phase not in ("Uploading", "Committing", "Committed"):
        return Shown(Waiting.UPLOADING, f"{ended}; its outputs are being saved", "uploading")
    if report.phase != "Uploading":
        return Shown(
            Waiting.COMMITTING, f"{ended}; the list of {units.outputs(report.files)} is written and verified", "committing"
        )
    files = _of(report.files, report.total_files)
    return Shown(Waiting.UPLOADING, f"{ended}; outputs: {files} files, {units.size(report.bytes)} uploaded", f"{files} outputs")


def _of(done: int, total: int) -> str:
    return f"{done:,} of {total:,}" if total else f"{done:,}"
