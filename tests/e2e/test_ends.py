"""However an execution ends, its condition says why, and what it saved is kept."""

from __future__ import annotations

from tests.e2e.kit import Project, eventually

SAVE = "echo kept > /valohai/outputs/kept.txt"
KEPT = {"kept.txt": b"kept\n"}


def test_a_failed_command_keeps_its_outputs(project: Project) -> None:
    run = project.run(f"{SAVE}; exit 3").fails("NonZeroExit", "code 3", "1 output")
    assert run.status["exitCode"] == 3
    assert run.saved() == KEPT


def test_out_of_memory_keeps_the_outputs(project: Project) -> None:
    hog = "python3 -c 'x=[bytearray(20<<20) for _ in range(100)]'"
    run = project.run(f"{SAVE}; exec {hog}", resources={"limits": {"memory": "64Mi"}})
    run.fails("OutOfMemory", "64Mi")
    assert run.saved() == KEPT


def test_a_deleted_pod_saves_what_main_wrote(project: Project) -> None:
    run = project.run(f"trap 'echo term > /valohai/outputs/term.txt; exit 0' TERM; {SAVE}; echo ready; while :; do sleep 0.1; done")
    run.running().said("ready")
    project.core.delete_namespaced_pod(run.status["pod"], project.namespace)
    run.fails("Evicted", "deleted")
    assert run.saved() == KEPT | {"term.txt": b"term\n"}


def test_stop_gives_the_command_time_and_keeps_what_was_saved(project: Project) -> None:
    run = project.run(
        f"trap 'echo saved > /valohai/outputs/checkpoint; exit 0' TERM; {SAVE}; echo ready; while :; do sleep 0.1; done"
    )
    run.running().said("ready")
    run.edit(stop=True)
    run.fails("Stopped")
    assert run.saved() == KEPT | {"checkpoint": b"saved\n"}


def test_stop_kills_a_command_that_does_not_listen(project: Project) -> None:
    run = project.run(f"trap '' TERM; {SAVE}; echo ready; while :; do sleep 0.1; done", stopGracePeriodSeconds=2)
    run.running().said("ready")
    run.edit(stop=True)
    run.fails("Stopped", seconds=30)
    assert run.saved() == KEPT


def test_the_deadline_stops_it(project: Project) -> None:
    run = project.run(f"{SAVE}; sleep 600", activeDeadlineSeconds=6, stopGracePeriodSeconds=1)
    run.fails("DeadlineExceeded", "6 s")
    assert run.saved() == KEPT


def test_the_second_attempt_succeeds(project: Project) -> None:
    # The pod's name, <execution>-<attempt>-<hash>, is also its host name.
    command = "attempt=$(hostname | cut -d- -f3); echo $attempt > /valohai/outputs/attempt.txt; [ $attempt = 2 ] || exit 7"
    run = project.run(command, backoffLimit=2).succeeds(seconds=120)
    assert run.status["attempt"] == 2
    (failed,) = run.status["attempts"]
    assert (failed["attempt"], failed["reason"], failed["exitCode"]) == (1, "NonZeroExit", 7)
    by_attempt = {d["metadata"]["labels"]["datums.dev/attempt"]: d for d in run.datums()}
    assert project.bucket.get(by_attempt["1"]["spec"]["location"]["key"]) == b"1\n"
    assert project.bucket.get(by_attempt["2"]["spec"]["location"]["key"]) == b"2\n"


def test_retries_end(project: Project) -> None:
    run = project.run("exit 7", backoffLimit=1).fails("BackoffLimitExceeded", "2 attempts", "code 7", seconds=120)
    assert [a["attempt"] for a in run.status["attempts"]] == [1, 2]


def test_suspend_and_resume(project: Project) -> None:
    run = project.run(SAVE, suspend=True).waits("Suspended")
    assert run.pods() == []
    run.edit(suspend=False)
    assert run.succeeds().saved() == KEPT


def test_ttl_removes_the_object_and_never_the_data(project: Project) -> None:
    run = project.run(SAVE, ttlSecondsAfterFinished=3).succeeds()
    (datum,) = run.datums()
    eventually("the execution is gone", lambda: not run.exists(), 30)
    eventually("its pods are gone", lambda: run.pods() == [], 60)
    assert project.bucket.get(datum["spec"]["location"]["key"]) == b"kept\n"
    assert [d["metadata"]["name"] for d in run.datums()] == [datum["metadata"]["name"]]


def test_an_input_that_does_not_exist(project: Project) -> None:
    link = f"s3://{project.bucket_name}/raw/nothing-here.csv"
    project.run("true", inputs=[{"name": "x", "link": link}]).fails("InputNotFound", link, "optional")


def test_a_datum_that_does_not_exist(project: Project) -> None:
    missing = "c8ce0029-8881-8740-850d-2eb6b51bd4bb"
    project.run("true", inputs=[{"name": "x", "link": f"datum://{missing}"}]).fails("InputNotFound", missing)


def test_two_files_of_one_name(project: Project) -> None:
    for key in ("raw/collide/a/same.txt", "raw/collide/b/same.txt"):
        project.bucket.put(key, key.encode())
    link = f"s3://{project.bucket_name}/raw/collide/**"
    project.run("true", inputs=[{"name": "x", "link": link}]).fails("InputNameCollision", "same.txt", "keepDirectories")


def test_a_key_that_the_store_does_not_let_executions_read(project: Project) -> None:
    project.bucket.put("private/x", b"x")
    link = f"s3://{project.bucket_name}/private/x"
    project.run("true", inputs=[{"name": "x", "link": link}]).fails("AccessDenied", "readable", "private/x")


def test_a_store_with_a_wrong_key_makes_executions_wait_until_it_is_mended(project: Project) -> None:
    good = project.secret("wrong-keys", secret_key="not-the-key-at-all")
    project.connect("wrong", secret="wrong-keys", default=False)
    project.store_is("False", "AccessDenied", name="wrong")
    run = project.run(SAVE, outputs={"store": "wrong"}).waits("StoreNotReady", "wrong", "AccessDenied")
    project.apply(good)
    assert run.succeeds().saved() == KEPT


def test_a_bucket_that_does_not_exist(project: Project) -> None:
    project.connect("nowhere", bucket="no-such-bucket", default=False)
    ready = project.store_is("False", "BucketNotFound", name="nowhere")
    assert "no-such-bucket" in ready["message"]
    project.run("true", outputs={"store": "nowhere"}).waits("StoreNotReady", "BucketNotFound")


def test_a_missing_secret_is_named_and_the_execution_goes_on_when_it_comes(project: Project) -> None:
    project.connect("later", secret="comes-later", default=False)
    assert "comes-later" in project.store_is("False", "SecretNotFound", name="later")["message"]
    run = project.run(SAVE, outputs={"store": "later"}).waits("StoreNotReady")
    project.apply(project.secret("comes-later"))
    assert run.succeeds().saved() == KEPT


def test_an_image_that_cannot_be_pulled(project: Project) -> None:
    run = project.run("true", image="datums-testbed/no-such-image:1", imagePullPolicy="Never")
    run.fails("ImagePullFailed", "datums-testbed/no-such-image:1")


def test_a_template_that_the_server_refuses(project: Project) -> None:
    run = project.run("true", template={"spec": {"tolerations": [{"operator": "Sometimes"}]}})
    run.fails("InvalidPodTemplate", "tolerations")


def test_a_template_that_reaches_for_the_credentials(project: Project) -> None:
    volume = {"name": "creds", "secret": {"secretName": "datums-attempt-12345678-1"}}
    run = project.run("true", template={"spec": {"volumes": [volume]}})
    run.fails("InvalidPodTemplate", "datums-attempt-12345678-1")


def test_another_project_has_no_share(project: Project, other_project: Project) -> None:
    secret = project.run("echo theirs > /valohai/outputs/theirs.txt").succeeds()
    datum = secret.datum("theirs.txt")
    namespace = project.namespace
    other_project.run("true", inputs=[{"name": "x", "link": f"{secret.link('theirs.txt')}@{namespace}"}]).waits(
        "NotShared", namespace
    )
    raw = f"s3://{other_project.bucket_name}/{datum['spec']['location']['key']}"
    other_project.run("true", inputs=[{"name": "x", "link": raw}]).fails("NotShared", namespace)
    other_project.run("true", outputs={"store": f"store@{namespace}"}).waits("NotShared", "allowedNamespaces")


def test_a_shared_store_is_the_default_of_a_namespace_without_one(project: Project, bare_project: Project) -> None:
    run = bare_project.run(SAVE).waits("StoreNotReady", "no DataStore")
    project.connect("shared", default=True, allowedNamespaces={"from": "All"}, name_prefix="shared")
    assert run.succeeds().saved() == KEPT
