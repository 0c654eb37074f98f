"""Whatever is killed, nothing is lost and nothing is made twice."""

from __future__ import annotations

import time

import pytest

from tests.e2e.kit import Project, eventually
from tests.e2e.processes import kill_operator, kill_process_of


def test_ship_killed_after_main_ended_is_restarted_and_commits(project: Project, s3_outage) -> None:
    run = project.run("sleep 3; head -c 5000000 /dev/zero > /valohai/outputs/zeros; echo done").running()
    with s3_outage():
        run.said("done")
        eventually("main has ended", lambda: "terminated" in run.container("main")["state"])
        kill_process_of(run.pod, "datums.transfer.ship")
        eventually("ship is restarted", lambda: run.container("ship")["restartCount"] == 1)
    run.succeeds(seconds=120)
    assert {path: len(data) for path, data in run.saved().items()} == {"zeros": 5_000_000}


@pytest.mark.parametrize("moment", ["while main runs", "as main ends"])
def test_ship_killed_makes_no_second_datum(project: Project, moment: str) -> None:
    run = project.run("cd /valohai/outputs; for i in 1 2 3 4 5; do echo $i > f$i; sleep 1; done; echo done").running()
    if moment == "as main ends":
        run.said("done")
    kill_process_of(run.pod, "datums.transfer.ship")
    run.succeeds(seconds=120)
    assert run.saved() == {f"f{i}": f"{i}\n".encode() for i in range(1, 6)}


def test_the_s3_server_is_down_for_two_minutes_when_ship_wants_to_commit(project: Project, s3_outage) -> None:
    run = project.run("echo kept > /valohai/outputs/kept.txt; sleep 3; echo done").running()
    with s3_outage():
        run.said("done")
        run.until("Uploading", "Committing")
        time.sleep(120)
        assert run.condition["status"] == "Unknown"
        assert "still trying" in run.condition["message"], run.condition["message"]
    run.succeeds(seconds=60)
    assert run.saved() == {"kept.txt": b"kept\n"}


@pytest.mark.parametrize("phase", ["created", "Queued", "Running", "ended", "finished"])
def test_the_operator_is_killed_and_goes_on(project: Project, phase: str) -> None:
    run = project.run("echo x > /valohai/outputs/x; sleep 3; echo done", name=f"killed-{phase.lower()}")
    if phase == "ended":
        run.running().said("done")
    elif phase == "finished":
        run.succeeds()
    elif phase != "created":
        eventually(phase, lambda: run.condition["reason"] != "" and (phase == "Queued" or run.condition["reason"] == phase))
    kill_operator()
    run.succeeds(seconds=120)
    assert len(run.pods()) == 1
    assert run.saved() == {"x": b"x\n"}
    assert run.status["attempt"] == 1


def test_the_operator_killed_every_second_while_ten_executions_run(project: Project) -> None:
    runs = [project.run(f"echo {i} > /valohai/outputs/n; sleep 1", name=f"many-{i}") for i in range(10)]
    for _ in range(5):
        time.sleep(1)
        kill_operator()
    for i, run in enumerate(runs):
        run.succeeds(seconds=180)
        assert len(run.pods()) == 1
        assert run.saved() == {"n": f"{i}\n".encode()}
