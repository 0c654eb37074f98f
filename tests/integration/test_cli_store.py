"""`datums store check` against a real S3 server, with the DataStore from files and from a real API server."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from datums.control.kube import DATASTORES, SECRETS, Kube
from testbed.control_plane import ControlPlane
from tests.faults.profiles import PROFILES
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script
from tests.integration.cli_kit import begun, datums, datums_beside, interrupted
from tests.integration.kube_fixture import free_port
from tests.integration.s3_fixture import S3Server

CANARY = "wrong-secret-canary"


def manifest(path: Path, server: S3Server, bucket: str, keys: dict[str, str], **s3: Any) -> str:
    """A DataStore and its Secret as a file."""
    spec = {
        "s3": {"bucket": bucket, "endpoint": server.endpoint, "forcePathStyle": True} | s3,
        "credentials": {"secretRef": {"name": "keys"}},
        "tuning": {"partSizeMiB": 5},
    }
    store = {"apiVersion": "datums.dev/v1alpha1", "kind": "DataStore", "metadata": {"name": "ml"}, "spec": spec}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}
    path.write_text(yaml.safe_dump_all([store, secret]))
    return str(path)


@pytest.fixture
def admin(tmp_path: Path, s3_server: S3Server, bucket: str) -> str:
    """A DataStore that may do everything."""
    return manifest(tmp_path / "store.yaml", s3_server, bucket, s3_server.keys["admin"])


def left(server: S3Server, bucket: str) -> tuple[list[str], list[str]]:
    """Keys and unfinished uploads in the bucket."""
    boto = server.boto()
    keys = [found["Key"] for found in boto.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return keys, [found["Key"] for found in boto.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def test_a_store_that_does_everything(s3_server: S3Server, bucket: str, admin: str) -> None:
    s3_server.boto().put_object(Bucket=bucket, Key="raw/precious", Body=b"of somebody")
    done = datums("store", "check", "--file", admin, "-o", "json", secrets=(s3_server.keys["admin"]["AWS_SECRET_ACCESS_KEY"],))
    assert done.code == 0, done.err
    report = json.loads(done.out)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    # SeaweedFS: a backslash is a slash, directories first in the list, and no name of more than 255 bytes.
    assert {name for name, verdict in verdicts.items() if verdict == "no"} <= {"backslash", "versions", "list order"}
    assert verdicts["conditional put"] == verdicts["change detected"] == verdicts["resumed"] == verdicts["long list"] == "yes"
    assert verdicts["slash at the end"] == verdicts["dot-dot segment"] == "refused"
    figures = {name: value for check in report["checks"] for name, value in check.get("figures", {}).items()}
    assert figures["put_mb_s"] > 0
    assert figures["get_p50_ms"] > 0
    assert left(s3_server, bucket) == (["raw/precious"], [])


def test_the_table_and_the_page(s3_server: S3Server, bucket: str, admin: str) -> None:
    table = datums("store", "check", "ml", "--file", admin, "--quick")
    assert table.code == 0, table.err
    assert f"DataStore default/ml: s3://{bucket} at {s3_server.endpoint} (s3)" in table.out
    assert "yes     conditional put" in table.out
    assert "Speed" not in table.out
    assert "It can be used." in table.out
    page = datums("store", "check", "--file", admin, "--quick", "-o", "markdown")
    assert "| Objects: conditional put | " in page.out


def test_who_may_only_read_gets_the_half_that_reads(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    s3_server.boto().put_object(Bucket=bucket, Key="raw/object", Body=b"bytes" * 1000)
    file = manifest(tmp_path / "store.yaml", s3_server, bucket, s3_server.keys["reader"])
    done = datums("store", "check", "--file", file)
    assert done.code == 1
    assert "can only be read, so executions cannot save there" in done.err
    done = datums("store", "check", "--file", file, "--read-only", "-o", "json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["half"] == "read"
    assert {check["verdict"] for check in report["checks"]} == {"yes"}
    named = datums("store", "check", "--file", file, "--read-only", "--object", "raw/object")
    assert f"s3://{bucket}/raw/object, 5000 bytes" in named.out
    assert left(s3_server, bucket) == (["raw/object"], [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bucket": "there-is-no-such-bucket"}, "BucketNotFound"),
        ({"keys": {"AWS_ACCESS_KEY_ID": "KEYwrong", "AWS_SECRET_ACCESS_KEY": CANARY}}, "AccessDenied"),
        ({"endpoint": "http://127.0.0.1:1"}, "EndpointUnreachable"),
        ({"keys": {"AWS_ACCESS_KEY_ID": "KEYwrong"}}, "SecretKeyMissing"),
    ],
)
def test_a_store_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, s3_server: S3Server, bucket: str, change: dict[str, Any], reason: str
) -> None:
    fields = {"bucket": bucket, "keys": s3_server.keys["admin"]} | change
    file = manifest(tmp_path / "store.yaml", s3_server, **fields)
    done = datums("store", "check", "--file", file, secrets=(CANARY,))
    assert done.code == 1
    assert f"({reason})" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_mistakes_in_files_and_arguments(tmp_path: Path, s3_server: S3Server, bucket: str, admin: str) -> None:
    typo = manifest(tmp_path / "typo.yaml", s3_server, bucket, s3_server.keys["admin"], enpoint="http://127.0.0.1:1")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    for arguments, sentence in (
        (["--file", typo], "there is no field spec.s3.enpoint"),
        (["--file", str(broken)], "is not YAML (line"),
        (["--file", str(tmp_path / "none.yaml")], "cannot be read: No such file or directory"),
        (["other", "--file", admin], "DataStore other is looked for in"),
        (["ml@", "--file", admin], "write <name> or <name>@<namespace>"),
        (["ml@a", "-n", "b", "--file", admin], "name different namespaces"),
        ([], "name a DataStore"),
    ):
        done = datums("store", "check", *arguments)
        assert (done.code, sentence in done.err) == (2, True), done.err
    assert datums("store", "check", "--nonsense").code == 2


@pytest.mark.parametrize("profile", ["ovh", "oracle"])
def test_a_service_that_refuses_checksums_and_ignores_conditions(
    tmp_path: Path, s3_server: S3Server, bucket: str, profile: str
) -> None:
    keys = s3_server.keys["admin"]
    with FaultProxy(
        s3_server.endpoint,
        Script([]),
        profile=PROFILES[profile],
        secrets={keys["AWS_ACCESS_KEY_ID"]: keys["AWS_SECRET_ACCESS_KEY"]},
    ) as proxy:
        block = {"container": bucket, "project": "p1", "region": "gra", "endpoint": proxy.endpoint}
        if profile == "oracle":
            block = {"bucket": bucket, "namespace": "axyz", "region": "eu-frankfurt-1", "endpoint": proxy.endpoint}
        spec = {profile: block, "credentials": {"secretRef": {"name": "keys"}}, "tuning": {"partSizeMiB": 5}}
        store = {"apiVersion": "datums.dev/v1alpha1", "kind": "DataStore", "metadata": {"name": "ml"}, "spec": spec}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}
        file = tmp_path / "store.yaml"
        file.write_text(yaml.safe_dump_all([store, secret]))
        done = datums("store", "check", "--file", str(file), "--quick", "-o", "json")
    assert done.code == 0, done.err
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    assert checks["conditional put"]["verdict"] == checks["one winner"]["verdict"] == "no"
    assert checks["checksum headers"]["verdict"] == "refused"
    assert "WhenRequired" in checks["checksum headers"]["told"]
    assert checks["in parts"]["verdict"] == "yes"
    assert left(s3_server, bucket) == ([], [])


def test_a_service_that_is_busy_now_and_then(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    keys = s3_server.keys["admin"]
    faults = [Fault(do="status", status=503, number=number) for number in (5, 20, 21, 60)]
    with FaultProxy(
        s3_server.endpoint, Script(faults), secrets={keys["AWS_ACCESS_KEY_ID"]: keys["AWS_SECRET_ACCESS_KEY"]}
    ) as proxy:
        file = manifest(tmp_path / "store.yaml", s3_server, bucket, keys, endpoint=proxy.endpoint)
        done = datums("store", "check", "--file", file, "--quick", "-o", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["repeated"] >= 3
    assert left(s3_server, bucket) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_removes_what_it_wrote(s3_server: S3Server, bucket: str, admin: str, number: signal.Signals) -> None:
    with begun("store", "check", "--file", admin, env={}) as process:
        deadline = time.monotonic() + 60
        while len(left(s3_server, bucket)[0]) < 20:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        done = interrupted(process, number)
    assert done.code == 130
    assert done.err.strip().endswith("interrupted")
    assert left(s3_server, bucket) == ([], [])


async def test_a_store_of_the_cluster(
    control_plane: ControlPlane, kube: Kube, namespace: str, s3_server: S3Server, bucket: str
) -> None:
    config = {"KUBECONFIG": str(control_plane.kubeconfig)}
    done = await datums_beside("store", "check", "ml", "-n", namespace, env=config)
    assert done.code == 1
    assert f"there is no DataStore {namespace}/ml" in done.err
    s3 = {"bucket": bucket, "endpoint": s3_server.endpoint, "forcePathStyle": True}
    body = {"metadata": {"name": "ml"}, "spec": {"s3": s3, "credentials": {"secretRef": {"name": "keys"}}}}
    await kube.create(DATASTORES, namespace, body | {"apiVersion": DATASTORES.api_version, "kind": "DataStore"})
    done = await datums_beside("store", "check", f"ml@{namespace}", env=config)
    assert done.code == 1
    assert f"Secret {namespace}/keys" in done.err
    await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": s3_server.keys["admin"]})
    secrets = (s3_server.keys["admin"]["AWS_SECRET_ACCESS_KEY"],)
    done = await datums_beside(
        "store", "check", f"ml@{namespace}", "--quick", "--kubeconfig", str(control_plane.kubeconfig), secrets=secrets
    )
    assert done.code == 0, done.err
    assert f"DataStore {namespace}/ml: s3://{bucket}" in done.out


async def test_a_cluster_that_is_not_there(tmp_path: Path, control_plane: ControlPlane) -> None:
    done = datums("store", "check", "ml", "--kubeconfig", str(tmp_path / "none"))
    assert done.code == 1
    assert "cannot connect by" in done.err
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    gone = tmp_path / "gone"
    gone.write_text(yaml.safe_dump(config))
    done = await datums_beside("store", "check", "ml", "--kubeconfig", str(gone))
    assert done.code == 1
    assert done.err.startswith("datums store check: ")


def test_help_without_arguments() -> None:
    for arguments in ([], ["store"], ["store", "check", "--help"], ["cp", "--help"], ["ls", "--help"], ["--help"]):
        done = datums(*arguments)
        assert (done.code, "usage: datums" in done.out) == (0, True), arguments
    assert datums("nonsense").code == 2
