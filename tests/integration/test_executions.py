"""Executions on a real API server and a real S3 server; the test plays the kubelet, fetch and ship."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from datums.control.executions import ExecutionReconciler
from datums.control.kube import DATASTORES, DATUMS, NAMESPACES, PODS, SECRETS, Conflict, Forbidden, Kube, NotFound, Obj
from datums.control.queue import Key
from datums.control.resources import Resource
from datums.model import ids
from datums.model.commit import FetchResult
from tests.integration.executions_kit import Crash, CrashingKube, Project, ended, running, waiting
from tests.integration.kube_fixture import eventually

FILES = {"a.txt": b"a", "dir/b.txt": b"bb"}


@pytest.fixture
async def bare(kube: Kube, namespace: str, secret: Any, s3_server: Any, bucket: str) -> Project:
    """A project without a store."""
    project = Project(kube, namespace, s3_server, bucket)
    await project.set_up()
    return project


@pytest.fixture
async def project(bare: Project) -> Project:
    """A project with one."""
    await bare.connect()
    return bare


async def succeeded(project: Project, name: str = "train", files: dict[str, bytes] | None = None, **spec: Any) -> Any:
    run = await project.run(name, **spec)
    pod = await run.started()
    await pod.main_ended(0)
    await pod.commits(FILES if files is None else files)
    pod.reports("Committed")
    await run.step()
    return run


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


async def test_unschedulable_is_shown_and_ends_at_the_deadline(project: Project) -> None:
    run = await project.run(activeDeadlineSeconds=60)
    await run.step()
    pod = await run.pod()
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no GPU"}
    await pod.is_("Pending", conditions=(said,))
    assert await run.condition() == ("Unknown", "Queued", "0/1 nodes: no GPU")
    project.skew = 61
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "Unschedulable")
    assert "no GPU" in message
    assert await run.pods() == []


async def test_an_image_that_cannot_be_pulled(project: Project) -> None:
    run = await project.run()
    pod = await run.started(main=waiting("ImagePullBackOff", "no such image"))
    assert (await run.condition())[1] == "Pulling"
    project.skew = 130
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "ImagePullFailed")
    assert "no such image" in message
    assert (await pod.get())["metadata"]["deletionTimestamp"]


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


async def test_it_waits_for_a_store_and_goes_on(bare: Project) -> None:
    run = await bare.run()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "StoreNotReady")
    assert "no DataStore" in message
    await bare.connect(s3={"bucket": "no-such-bucket"}, name="broken")
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "StoreNotReady")
    assert "BucketNotFound" in message
    await bare.connect()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "AmbiguousStore")
    assert "broken" in message
    await bare.kube.patch(DATASTORES, bare.namespace, "broken", {"spec": {"default": False}})
    await run.step()
    assert len(await run.pods()) == 1


async def test_what_cannot_be_shared_waits_and_what_cannot_be_ends(project: Project) -> None:
    missing = "c8ce0029-8881-8740-850d-2eb6b51bd4bb"
    theirs = await project.run("theirs", inputs=[{"name": "x", "link": f"datum://{missing}@other"}])
    status, reason, message = await theirs.condition()
    assert (status, reason) == ("Unknown", "NotShared")
    assert "other" in message
    mine = await project.run("mine", inputs=[{"name": "x", "link": f"datum://{missing}"}])
    status, reason, message = await mine.condition()
    assert (status, reason) == ("False", "InputNotFound")
    assert missing in message
    style = await project.run("style", parameters=[{"name": "p", "value": 1, "style": "--{nmae}"}])
    assert (await style.condition())[:2] == ("False", "InvalidSpec")


class NoNamespaces(Kube):
    """The real seam of an operator that may not read namespaces."""

    def __init__(self, kube: Kube) -> None:
        self.__dict__.update(kube.__dict__)

    async def get(self, res: Resource, ns: str | None, name: str, *, metadata_only: bool = False) -> Obj:
        if res is NAMESPACES:
            raise Forbidden(403, "Forbidden", "not yours")
        return await super().get(res, ns, name, metadata_only=metadata_only)


@pytest.mark.parametrize("may_read", [True, False], ids=["label", "server's word"])
async def test_a_namespace_that_enforces_restricted(project: Project, may_read: bool) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await project.kube.patch(NAMESPACES, None, project.namespace, label)
    run = await project.run()
    await project.step("train", None if may_read else NoNamespaces(project.kube))
    pod = await run.pod()
    assert pod.body["spec"]["securityContext"]["runAsUser"] == 1000
    root = await project.run("root", template={"spec": {"securityContext": {"runAsUser": 0}}})
    status, reason, message = await root.condition()
    assert (status, reason) == ("False", "InvalidPodTemplate")
    assert "PodSecurity" in message


async def test_a_quota_holds_it_up_and_not_for_good(project: Project) -> None:
    quotas = Resource("", "v1", "resourcequotas", "ResourceQuota")
    await project.kube.create(quotas, project.namespace, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    none = {"hard": {"pods": "0"}, "used": {"pods": "0"}}
    await project.kube.patch(quotas, project.namespace, "none", {"status": none}, subresource="status")
    probe = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}

    async def in_force() -> bool:
        try:
            await project.kube.create(PODS, project.namespace, probe, dry_run=True)
        except Forbidden:
            return True
        return False

    await eventually(in_force)
    run = await project.run()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "Resolving")
    assert "quota" in message
    await project.kube.delete(quotas, project.namespace, "none")

    async def goes_on() -> bool:
        await run.step()
        return bool(await run.pods())

    await eventually(goes_on, every=0.3)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"tolerations": [{"operator": "Sometimes"}]}, "tolerations"),
        ({"nodeSelector": ["a"]}, "nodeSelector"),
        ({"nodeSelectr": {}}, "nodeSelectr"),
        ({"volumes": [{"name": "c", "secret": {"secretName": "datums-attempt-12345678-1"}}]}, "datums-attempt-12345678-1"),
        ({"initContainers": [{"name": "mine"}]}, "initContainers"),
    ],
)
async def test_a_template_that_is_refused(project: Project, template: Any, words: str) -> None:
    run = await project.run(template={"spec": template})
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "InvalidPodTemplate")
    assert words in message
    assert await run.pods() == []
    assert await run.secret(1) is None


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
