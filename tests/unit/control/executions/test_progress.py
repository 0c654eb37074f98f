"""How far a transfer is, in the condition's message and in `kubectl get executions`."""

from __future__ import annotations

import pytest

from datums.control.executions.progress import Shown, shown
from datums.control.podview import PodView
from datums.model.commit import Report
from tests.unit.control.executions.kit import ended, pod, running, waiting

FETCHING = pod(fetch=running(), main=waiting())
RUNNING = pod(fetch=ended(), ship=running(), main=running())
ENDED = pod(fetch=ended(), ship=running(), main=ended())
STUCK = "s3://acme/raw/x and 3 more: no byte since 12:00:01 UTC; still trying"
MIB = 1_000_000


@pytest.mark.parametrize(
    ("of", "report", "told"),
    [
        (FETCHING, None, Shown("Downloading", "the inputs are listed and downloaded")),
        (FETCHING, Report(phase="Downloading", files=3), Shown("Downloading", "inputs: 3 files, 0 B", "3 in")),
        (
            FETCHING,
            Report(phase="Downloading", files=312, total_files=1000, bytes=410 * MIB, total_bytes=1000 * MIB, rate=59 * MIB),
            Shown("Downloading", "inputs: 312 of 1,000 files, 410 MB of 1 GB, 59 MB/s, 10s left", "312/1,000 in, 41%"),
        ),
        (
            FETCHING,
            Report(phase="Downloading", files=999, total_files=1000, bytes=1000 * MIB - 1, total_bytes=1000 * MIB),
            Shown("Downloading", "inputs: 999 of 1,000 files, 1 GB of 1 GB", "999/1,000 in, 99%"),
        ),
        (
            FETCHING,
            Report(phase="Downloading", files=1, total_files=4, trouble=STUCK),
            Shown("Downloading", f"inputs: 1 of 4 files, 0 B; {STUCK}", "1/4 in, 25%"),
        ),
        (
            pod(fetch=waiting()),
            Report(phase="Downloading", files=1, total_files=4),
            Shown("Downloading", "inputs: 1 of 4 files, 0 B", "1/4 in, 25%"),
        ),
        (RUNNING, None, Shown("Running", "the command runs", "running")),
        (
            RUNNING,
            Report(phase="Downloading", files=1, total_files=4, trouble=STUCK),
            Shown("Running", "the command runs", "running"),
        ),
        (
            RUNNING,
            Report(phase="Running", files=12, bytes=30 * MIB, rate=5 * MIB, trouble=STUCK),
            Shown(
                "Running",
                f"the command runs; outputs uploaded so far: 12 files, 30 MB, 5 MB/s; {STUCK}",
                "running, 12 out",
            ),
        ),
        (
            RUNNING,
            Report(phase="Uploading", files=1, total_files=2),
            Shown("Uploading", "the command ended; outputs: 1 of 2 files, 0 B", "1/2 out, 50%"),
        ),
        (ENDED, None, Shown("Uploading", "the command ended with code 0; its outputs are being saved", "uploading")),
        (
            ENDED,
            Report(phase="Uploading", files=88, total_files=100, bytes=500 * MIB, total_bytes=1000 * MIB, rate=5 * MIB),
            Shown(
                "Uploading",
                "the command ended with code 0; outputs: 88 of 100 files, 500 MB of 1 GB, 5 MB/s, 1m40s left",
                "88/100 out, 50%",
            ),
        ),
        (
            ENDED,
            Report(phase="Committing", files=100, trouble=STUCK),
            Shown(
                "Committing",
                f"the command ended with code 0; the list of 100 outputs is written and verified; {STUCK}",
                "committing",
            ),
        ),
    ],
)
def test_progress(of: PodView, report: Report | None, told: Shown) -> None:
    assert shown(of, report, "") == told
