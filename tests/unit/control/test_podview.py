from __future__ import annotations

from datums.control.podview import PodView, epoch


def test_a_bare_pod() -> None:
    view = PodView.from_body({"metadata": {"name": "p"}})
    assert (view.name, view.phase, view.attempt, view.execution_uid, view.stop) == ("p", "Pending", 0, "", None)
    assert view.container("main").state == "waiting"
    assert not view.container("main").has_started


def test_a_pod_that_is_being_deleted() -> None:
    meta = {"name": "p", "deletionTimestamp": "2026-01-01T00:10:00Z", "deletionGracePeriodSeconds": 600}
    view = PodView.from_body({"metadata": meta})
    assert view.deleted_at == epoch("2026-01-01T00:00:00Z")
    assert view.gone_by == epoch("2026-01-01T00:10:00Z")


def test_containers_and_conditions() -> None:
    status = {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "no node"},
            {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m"},
        ],
        "initContainerStatuses": [{"name": "fetch", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
        "containerStatuses": [{"name": "main", "restartCount": 0, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
    }
    labels = {"datums.dev/execution": "e", "datums.dev/attempt": "3", "team": "a"}
    view = PodView.from_body({"metadata": {"name": "p", "labels": labels}, "status": status})
    assert view.labels == {"datums.dev/execution": "e", "datums.dev/attempt": "3"}
    assert (view.execution, view.attempt, view.unschedulable, view.scheduled_at) == ("e", 3, "no node", 0.0)
    assert (view.disruption, view.disruption_message) == ("PreemptionByScheduler", "m")
    assert view.container("fetch").has_started
    assert view.container("main").exit_code == 0
