"""How executions end: what main did, what came of its outputs, stops, deadlines and retries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from datums.control.kube import DATASTORES, PODS
from datums.model.commit import FetchResult
from tests.integration.executions_kit import FILES, Project, ended, waiting


@pytest.mark.parametrize(
    ("main", "reason", "words"),
    [
        (ended(3), "NonZeroExit", ("code 3", "2 outputs (3 B) are kept", "kubectl logs")),
        (ended(137, "OOMKilled"), "OutOfMemory", ("64Mi", "are kept")),
    ],
)
async def test_a_failed_command_keeps_its_outputs(project: Project, main: Any, reason: str, words: tuple[str, ...]) -> None:
    run = await project.run(resources={"limits": {"memory": "64Mi"}})
    pod = await run.started(main=main)
    await pod.commits(FILES)
    pod.reports("Committed")
    status, found, message = await run.condition()
    assert (status, found) == ("False", reason)
    assert all(word in message for word in words), message
    assert len(await run.datums()) == 2


async def test_the_gate_tells_of_the_commit_where_no_report_came(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.commits(FILES)
    await pod.over()
    assert (await run.condition())[:2] == ("True", "Committed")


async def test_files_that_could_not_be_saved_are_named(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.main_ended(0)
    await pod.commits(FILES, problems=[("bad-link", "leads outside of the outputs"), ("fifo", "is a FIFO")])
    pod.reports("Committed")
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "OutputsPartial")
    assert "bad-link" in message
    assert (await run.status())["outputs"]["problemCount"] == 2


async def test_a_pod_that_ends_without_a_commit_has_lost_its_outputs(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.over()
    assert (await run.condition())[:2] == ("False", "OutputsLost")


async def test_a_commit_that_lies_is_not_believed(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.commits(FILES, outside=True)
    await pod.over()
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "OutputsLost")
    assert "outside" in message
    assert await run.datums() == []


async def test_fetch_says_why_it_failed(project: Project) -> None:
    run = await project.run(inputs=[{"name": "x", "link": f"s3://{project.bucket}/raw/none"}])
    told = msgspec.json.encode(FetchResult(reason="InputNotFound", message="nothing at raw/none")).decode()
    pod = await run.started()
    await pod.is_("Failed", fetch=ended(1, message=told), ship=waiting("PodInitializing"), main=waiting("PodInitializing"))
    assert await run.condition() == ("False", "InputNotFound", "nothing at raw/none")


async def test_a_deleted_pod_saves_what_main_wrote(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await run.kube.delete(PODS, run.namespace, pod.name)
    assert (await run.condition())[1] == "Stopping"
    await pod.commits(FILES)
    pod.reports("Committed")
    assert (await run.condition())[1] == "Committing"
    await pod.over()
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "Evicted")
    assert "deleted" in message
    assert "2 outputs" in message
    assert len(await run.datums()) == 2


async def test_a_pod_that_is_gone_without_a_word(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.commits(FILES)
    await pod.vanish()
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "Evicted")
    assert "2 outputs" in message


async def test_a_node_that_does_not_come_back(project: Project) -> None:
    run = await project.run(template={"spec": {"terminationGracePeriodSeconds": 30}})
    pod = await run.started()
    await run.kube.delete(PODS, run.namespace, pod.name)
    project.skew = 120
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "NodeLost")
    assert "node-1" in message


async def test_stop_before_there_is_a_pod(project: Project) -> None:
    run = await project.run(stop=True)
    assert (await run.condition())[:2] == ("False", "Stopped")
    assert await run.pods() == []


async def test_stop_before_the_command_has_started(project: Project) -> None:
    run = await project.run()
    await run.step()
    await run.edit(stop=True)
    assert (await run.condition())[:2] == ("False", "Stopped")
    assert await run.pods() == []
    assert await run.secret(1) is None


async def test_stop_while_the_command_runs(project: Project) -> None:
    run = await project.run(stopGracePeriodSeconds=7)
    pod = await run.started()
    await run.edit(stop=True)
    assert (await run.condition())[:2] == ("Unknown", "Stopping")
    assert (await pod.annotations())["datums.dev/stop"] == "7"
    await pod.main_ended(0)
    await pod.commits(FILES)
    pod.reports("Committed")
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "Stopped")
    assert "2 outputs (3 B) are kept" in message


async def test_the_deadline(project: Project) -> None:
    run = await project.run(activeDeadlineSeconds=60)
    pod = await run.started()
    assert (await run.condition())[1] == "Running"
    project.skew = 61
    assert (await run.condition())[1] == "Stopping"
    await pod.main_ended(143)
    await pod.commits({})
    pod.reports("Committed")
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "DeadlineExceeded")
    assert "60 s" in message


async def test_the_second_attempt_succeeds(project: Project) -> None:
    run = await project.run(backoffLimit=1)
    pod = await run.started(main=ended(7))
    await pod.commits({"one": b"1"})
    pod.reports("Committed")
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "Queued")
    assert "attempt 2 begins in 10s" in message
    assert len(await run.pods()) == 1
    project.skew = 11
    second = await run.started(main=ended(0))
    assert second.name != pod.name
    await second.commits({"two": b"2"})
    second.reports("Committed")
    assert (await run.condition())[:2] == ("True", "Committed")
    status_ = await run.status()
    assert status_["attempt"] == 2
    assert [(a["attempt"], a["reason"], a["exitCode"]) for a in status_["attempts"]] == [(1, "NonZeroExit", 7)]
    assert {d["spec"]["path"] for d in await run.datums()} == {"one", "two"}


async def test_retries_end(project: Project) -> None:
    run = await project.run(backoffLimit=1)
    for attempt in (1, 2):
        pod = await run.started(main=ended(7))
        assert pod.attempt == attempt
        await pod.commits({})
        pod.reports("Committed")
        await run.step()
        project.skew += 30
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "BackoffLimitExceeded")
    assert "2 attempts" in message
    assert "code 7" in message
    assert [a["attempt"] for a in (await run.status())["attempts"]] == [1, 2]


async def test_ship_is_told_that_main_has_ended_if_it_does_not_notice(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.main_ended(5)
    await run.step()
    assert "datums.dev/main-ended" not in await pod.annotations()
    project.skew = 10
    await run.step()
    assert (await pod.annotations())["datums.dev/main-ended"] == "5"


async def test_the_store_is_down_when_the_commit_is_verified(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.commits(FILES)
    await project.kube.patch(DATASTORES, project.namespace, "store", {"spec": {"s3": {"endpoint": "http://127.0.0.1:9"}}})
    await pod.over()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "Committing")
    assert "cannot be seen" in message
    await project.kube.patch(DATASTORES, project.namespace, "store", {"spec": {"s3": {"endpoint": project.server.endpoint}}})
    assert (await run.condition())[:2] == ("True", "Committed")
