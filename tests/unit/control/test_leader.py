"""Whether to take the Lease, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from datums.control.leader import decide


def lease(holder: str | None, seconds: int | None = 15) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": "2000-01-01T00:00:00.000000Z"}}


@pytest.mark.parametrize(
    ("record", "unchanged_for", "decision"),
    [
        (None, 0.0, "create"),
        (lease(""), 0.0, "take"),
        (lease(None), 0.0, "take"),
        ({}, 0.0, "take"),
        (lease("me"), 0.0, "take"),
        (lease("other"), 0.0, "wait"),
        (lease("other"), 14.9, "wait"),
        (lease("other"), 15.0, "take"),
        (lease("other", 30), 15.0, "wait"),
        (lease("other", None), 0.0, "take"),
    ],
)
def test_decisions(record: dict[str, Any] | None, unchanged_for: float, decision: str) -> None:
    """Whatever the record's own times say: clocks of nodes differ."""
    assert decide(record, "me", unchanged_for) == decision
