"""Executions on a real API server and a real S3 server, from spec to datums; the test plays the kubelet, fetch and ship."""

from __future__ import annotations

import hashlib
import json

import pytest

from datums.control.executions import ExecutionReconciler
from datums.control.kube import DATUMS, SECRETS, Conflict, NotFound
from datums.control.queue import Key
from datums.model import ids
from tests.integration.executions_kit import FILES, Crash, CrashingKube, Project, ended, running, succeeded


async def test_from_spec_to_datums(project: Project) -> None:
    run = await project.run(command="echo {parameters}", parameters=[{"name": "epochs", "value": 5}])
    body = await run.step()
    pod = await run.pod()
    assert body["status"]["pod"] == pod.name
    assert body["status"]["attempt"] == 1
    assert (await run.condition())[:2] == ("Unknown", "Queued")

    plan, credentials = await pod.plan()
    assert credentials["store-0.json"] == project.server.keys["admin"]
    assert plan.parameters == {"epochs": 5}
    assert pod.body["spec"]["containers"][0]["command"][-1] == "echo --epochs=5"
    assert not any(key in json.dumps(pod.body) for key in project.server.keys["admin"].values())

    await pod.bind()
    await pod.is_("Pending", fetch=running())
    assert (await run.condition())[1] == "Downloading"
    await pod.is_(fetch=ended(0), ship=running(), main=running(), gate=running())
    assert (await run.condition())[1] == "Running"
    await pod.main_ended(0)
    assert (await run.condition())[1] == "Uploading"
    commit = await pod.commits(FILES)
    pod.reports("Committed")
    assert await run.condition() == ("True", "Committed", "2 outputs (3 B) saved and verified")

    status = await run.status()
    assert status["exitCode"] == 0
    assert status["outputs"]["files"] == 2
    assert status["outputs"]["manifest"]["sha256"] == commit.outputs.manifest.sha256
    assert status["timings"]["uploaded"] == 0.5
    datums = {d["spec"]["path"]: d for d in await run.datums()}
    assert datums.keys() == FILES.keys()
    one = datums["dir/b.txt"]
    assert "ownerReferences" not in one["metadata"]
    assert one["metadata"]["labels"]["datums.dev/set"] == commit.set
    assert one["status"]["conditions"][0]["reason"] == "Committed"
    assert project.server.boto().get_object(Bucket=project.bucket, Key=one["spec"]["location"]["key"])["Body"].read() == b"bb"
    assert await run.secret(1) is None


async def test_the_next_execution_reads_the_datums(project: Project) -> None:
    first = await succeeded(project)
    datum = next(d for d in await first.datums() if d["spec"]["path"] == "dir/b.txt")
    name = datum["metadata"]["name"]
    second = await project.run("second", inputs=[{"name": "x", "link": f"datum://{name}"}])
    await second.step()
    plan, _ = await (await second.pod()).plan()
    (source,) = plan.inputs[0].sources
    assert (source.datum, source.key, source.sha256) == (  # type: ignore[union-attr]
        name,
        datum["spec"]["location"]["key"],
        datum["spec"]["sha256"],
    )


async def test_many_files_are_one_bundle(project: Project) -> None:
    run = await succeeded(project, files={f"f{i:04}": b"" for i in range(3000)})
    (bundle,) = await run.datums()
    assert bundle["spec"]["files"] == 3000
    assert len(json.dumps(await run.get())) < 6144
    entry = bundle["metadata"]["name"][:-3] + "001"
    reader = await project.run(
        "reader",
        inputs=[{"name": "all", "link": f"datum://{bundle['metadata']['name']}"}, {"name": "one", "link": f"datum://{entry}"}],
    )
    await reader.step()
    plan, _ = await (await reader.pod()).plan()
    whole, one = (declared.sources[0] for declared in plan.inputs)
    assert whole.manifest_sha256 == one.manifest_sha256 == bundle["spec"]["source"]["manifest"]["sha256"]  # type: ignore[union-attr]
    assert (whole.datum, one.datum) == ("", entry)  # type: ignore[union-attr]


async def test_suspend_and_resume(project: Project) -> None:
    run = await project.run(suspend=True)
    assert (await run.condition())[:2] == ("Unknown", "Suspended")
    assert await run.pods() == []
    await run.edit(suspend=False)
    pod = await run.started()
    await run.edit(suspend=True)
    assert (await run.condition())[1] == "Stopping"
    await pod.main_ended(143)
    await pod.commits({"checkpoint": b"c"})
    pod.reports("Committed")
    assert (await run.condition())[:2] == ("Unknown", "Suspended")
    assert [d["spec"]["path"] for d in await run.datums()] == ["checkpoint"]
    await run.edit(suspend=False)
    second = await run.started(main=ended(0))
    assert second.attempt == 2
    await second.commits(FILES)
    second.reports("Committed")
    assert (await run.condition())[:2] == ("True", "Committed")
    assert "failed" not in await run.status()


async def test_ttl(project: Project) -> None:
    run = await succeeded(project, ttlSecondsAfterFinished=60)
    await run.step()
    project.skew = 61
    await project.step("train")
    with pytest.raises(NotFound):
        await run.get()
    assert len(await run.datums()) == 2


async def test_a_rotated_secret_reaches_the_pod(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await project.kube.patch(SECRETS, project.namespace, "keys", {"stringData": {"AWS_SESSION_TOKEN": "fresh"}})
    await project.probe()
    await run.step()
    _, credentials = await pod.plan()
    assert credentials["store-0.json"]["AWS_SESSION_TOKEN"] == "fresh"
    before = (await pod.get())["metadata"]["resourceVersion"]
    await run.step()
    assert (await pod.get())["metadata"]["resourceVersion"] == before


async def test_nothing_is_written_when_nothing_has_changed(project: Project) -> None:
    run = await project.run()
    await run.started()
    before = (await run.step())["metadata"]["resourceVersion"]
    assert (await run.step())["metadata"]["resourceVersion"] == before
    done = await succeeded(project, "done")
    before = (await done.step())["metadata"]["resourceVersion"]
    assert (await done.step())["metadata"]["resourceVersion"] == before


async def until_crash(project: Project, name: str, call: int, *, done: bool) -> bool:
    """One step by a process that dies around its n-th call; False if it did not come so far."""
    try:
        await project.step(name, CrashingKube(project.kube, call, done=done))
    except Crash:
        return True
    return False


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_the_operator_dies_around_every_call(project: Project, done: bool) -> None:
    died = [0, 0]
    for call in range(1, 30):
        name = f"run-{call}"
        run = await project.run(name)
        first = await until_crash(project, name, call, done=done)
        pod = await run.started()
        assert len(await run.pods()) == 1
        await pod.main_ended(0)
        await pod.commits(FILES)
        pod.reports("Committed")
        second = await until_crash(project, name, call, done=done)
        assert (await run.condition())[:2] == ("True", "Committed")
        assert (await run.status())["attempt"] == 1
        assert len(await run.pods()) == 1
        datums = await run.datums()
        assert sorted(d["spec"]["path"] for d in datums) == sorted(FILES)
        assert all(d["status"]["conditions"] for d in datums)
        assert await run.secret(1) is None
        died = [died[0] + first, died[1] + second]
        if not first and not second:
            break
    else:
        pytest.fail("a step has no end")
    assert died[0] >= 5
    assert died[1] >= 6


async def test_two_operators_never_both_decide(project: Project) -> None:
    """The slower one looked before the faster one wrote: its write is refused."""
    run = await project.run()
    slow = await project.process()
    await run.step()
    with pytest.raises(Conflict):
        await ExecutionReconciler(slow).reconcile(Key("Execution", project.namespace, "train"))
    assert len(await run.pods()) == 1


async def test_a_datum_in_the_way_is_not_overwritten(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.main_ended(0)
    commit = await pod.commits(FILES)
    pod.reports("Committed")
    first = await succeeded(project, "first")
    stolen = (await first.datums())[0]
    name = str(ids.file_id(commit.set, "a.txt", 0, hashlib.sha256(b"a").hexdigest()))
    await project.kube.create(
        DATUMS,
        project.namespace,
        {"apiVersion": DATUMS.api_version, "kind": "Datum", "metadata": {"name": name}, "spec": stolen["spec"]},
    )
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "Committing")
    assert name in message
    await project.kube.delete(DATUMS, project.namespace, name)
    assert (await run.condition())[:2] == ("True", "Committed")
