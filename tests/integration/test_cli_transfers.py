"""`datums cp` and `datums ls` against real servers, without a cluster and by the DataStores of a real API server."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datums.api.names import LABEL_SET
from datums.control.kube import DATASTORES, DATUMS, SECRETS, Kube
from datums.model import ids, layout
from testbed.control_plane import ControlPlane
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Hit, Script
from tests.integration.cli_kit import aws, begun, datums, datums_beside, interrupted
from tests.integration.fetch_kit import SET, UID, Pod
from tests.integration.s3_fixture import STORE, S3Server

TREE = {"raw/a.csv": b"a" * 10, "raw/deep/er/b c.csv": b"b" * 5000, "raw/deep/empty": b"", "raw-not/x": b"x"}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(server: S3Server, bucket: str, tree: dict[str, bytes]) -> None:
    for key, body in tree.items():
        server.boto().put_object(Bucket=bucket, Key=key, Body=body)


def below(path: Path) -> dict[str, bytes]:
    return {str(found.relative_to(path)): found.read_bytes() for found in path.rglob("*") if found.is_file()}


def test_one_object(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    write(s3_server, bucket, TREE)
    link, env = f"s3://{bucket}/raw/deep/er/b c.csv", aws(s3_server)
    done = datums("cp", link, str(tmp_path / "b"), env=env)
    assert (done.code, done.out.strip()) == (0, f"{link}#sha256={sha(b'b' * 5000)}"), done.err
    assert below(tmp_path) == {"b": b"b" * 5000}
    assert os.access(tmp_path / "b", os.W_OK)
    assert not (tmp_path / "b").stat().st_mode & 0o111
    assert datums("cp", link, ".", env=env, cwd=tmp_path).code == 0
    assert below(tmp_path) == {"b": b"b" * 5000, "b c.csv": b"b" * 5000}
    listed = datums("ls", link, env=env)
    size, when, digest, path = listed.out.split(maxsplit=3)
    assert (size, digest, path.strip()) == ("5000", "-", "raw/deep/er/b c.csv")
    assert when.startswith("20")


def test_a_glob_becomes_a_directory(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    write(s3_server, bucket, TREE)
    env = aws(s3_server)
    done = datums("cp", f"s3://{bucket}/raw/**", str(tmp_path / "raw"), env=env)
    assert done.code == 0, done.err
    wanted = {key.removeprefix("raw/"): body for key, body in TREE.items() if key.startswith("raw/")}
    assert below(tmp_path / "raw") == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    again = datums("cp", f"s3://{bucket}/raw/**", str(tmp_path / "raw"), env=env)
    assert again.code == 1
    assert "is there already: name another path, or give --overwrite" in again.err
    (tmp_path / "raw/a.csv").write_bytes(b"mine")
    assert datums("cp", f"s3://{bucket}/raw/**", str(tmp_path / "raw"), "--overwrite", env=env).code == 0
    assert below(tmp_path / "raw") == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    listed = datums("ls", f"s3://{bucket}/raw/", "-o", "json", env=env)
    rows = [json.loads(line) for line in listed.out.splitlines()]
    assert {row["path"]: row["size"] for row in rows} == {k: len(b) for k, b in TREE.items() if k.startswith("raw/")}
    assert rows[0]["link"].startswith(f"s3://{bucket}/raw/")


def test_mistakes(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    write(s3_server, bucket, TREE)
    env, out = aws(s3_server), str(tmp_path / "out")
    (tmp_path / "file").touch()
    wrong = env | {"AWS_SECRET_ACCESS_KEY": "wrong-secret-canary"}
    for arguments, variables, code, sentence in (
        ([f"s3://{bucket}/none", out], env, 1, "InputNotFound"),
        ([f"s3://{bucket}/none/**", out], env, 1, "leads to nothing"),
        (["s3://there-is-none/x", out], env, 1, "there is no bucket"),
        ([f"s3://{bucket}/raw/a.csv", out], wrong, 1, "AccessDenied"),
        ([f"s3://{bucket}/raw/a.csv", out], {"AWS_ENDPOINT_URL": s3_server.endpoint}, 1, "set AWS_ACCESS_KEY_ID"),
        ([f"s3://{bucket}/raw/a.csv", out], env | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 1, "EndpointUnreachable"),
        ([f"s3://{bucket}/raw/a.csv", str(tmp_path / "none/out")], env, 1, "there is no directory"),
        ([f"s3://{bucket}/raw/**", str(tmp_path / "file")], env, 1, "name a directory"),
        ([f"s3://{bucket}/raw/a.csv#sha256={'0' * 64}", out], env, 1, "it is pinned to"),
        (["store://ml/x", out], env, 2, "is a name in a cluster"),
        (["nonsense", out], env, 2, "has no scheme"),
        (["swift://p/c/x", out], env | {"AWS_ENDPOINT_URL": ""}, 2, "--region"),
        ([f"s3://{bucket}/raw/a.csv"], env, 2, "PATH"),
    ):
        done = datums("cp", *arguments, env=variables)
        assert (done.code, sentence in done.err) == (code, True), (arguments, done)
        assert [path.name for path in tmp_path.iterdir()] == ["file"], (arguments, list(tmp_path.iterdir()))
    assert datums("ls", f"s3://{bucket}/none", env=env).code == 1
    assert datums("ls", f"s3://{bucket}/none/**", env=env).code == 1


def test_what_is_public_needs_no_credentials(s3_server: S3Server, tmp_path: Path) -> None:
    from testbed.identities import PUBLIC

    boto = s3_server.boto()
    if PUBLIC not in [found["Name"] for found in boto.list_buckets()["Buckets"]]:
        boto.create_bucket(Bucket=PUBLIC)
    write(s3_server, PUBLIC, {"cli/open": b"for all"})
    arguments = ["--anonymous", "--endpoint", s3_server.endpoint]
    assert datums("cp", *arguments, f"s3://{PUBLIC}/cli/open", str(tmp_path / "x")).code == 0
    assert below(tmp_path) == {"x": b"for all"}
    assert "cli/open" in datums("ls", *arguments, f"s3://{PUBLIC}/cli/**").out


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server with one file."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path.startswith("/files/data.bin")
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", "5" if found else "0")
            self.send_header("Last-Modified", "Wed, 01 Jul 2026 10:00:00 GMT")
            self.end_headers()
            self.wfile.write(b"bytes" if found else b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_public_file(site: str, tmp_path: Path) -> None:
    link = f"{site}/files/data.bin"
    assert datums("cp", link, str(tmp_path)).code == 0
    assert below(tmp_path) == {"data.bin": b"bytes"}
    assert datums("ls", link).out.split()[:2] == ["5", "2026-07-01T10:00:00Z"]
    done = datums("cp", f"{site}/none?token=query-secret-canary", str(tmp_path / "none"), secrets=("query-secret-canary",))
    assert done.code == 1
    assert "InputNotFound" in done.err


def test_files_in_packs_are_there_like_others(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    pod = Pod(tmp_path / "pod", s3_server, bucket)
    files: dict[str, bytes | None] = {f"d/{n}": bytes([n]) * (n * 37) for n in range(30)}
    _, _, entries = pod.save("first", files, packs=2)
    prefix = layout.attempt_prefix("datums", "churn", "first", UID, 1)
    env = aws(s3_server)
    listed = datums("ls", f"s3://{bucket}/{prefix}files/**", "-o", "json", env=env)
    rows = {row["path"].removeprefix(f"{prefix}files/"): row for row in map(json.loads, listed.out.splitlines())}
    assert set(rows) == set(files), listed.err
    assert {row["sha256"] for row in rows.values()} == {entry.sha256 for entry in entries}
    one = rows["d/7"]
    assert datums("cp", one["link"], str(tmp_path / "seven"), env=env).code == 0
    assert (tmp_path / "seven").read_bytes() == files["d/7"]
    done = datums("cp", f"s3://{bucket}/{prefix}files/**", str(tmp_path / "all"), env=env)
    assert done.code == 0, done.err
    assert below(tmp_path / "all") == files


def test_a_flipped_byte_is_found(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    pod = Pod(tmp_path / "pod", s3_server, bucket)
    pod.save("first", {"a": b"a" * 1000, "b": b"b" * 1000}, packs=1)
    prefix = layout.attempt_prefix("datums", "churn", "first", UID, 1)
    key = layout.pack_key(prefix, 0)
    pack = bytearray(s3_server.boto().get_object(Bucket=bucket, Key=key)["Body"].read())
    pack[600] ^= 1
    s3_server.boto().put_object(Bucket=bucket, Key=key, Body=bytes(pack))
    out = tmp_path / "out"
    out.mkdir()
    done = datums("cp", f"s3://{bucket}/{prefix}files/a", str(out / "a"), env=aws(s3_server))
    assert done.code == 1
    assert "InputDigestMismatch" in done.err
    assert list(out.iterdir()) == []


def test_a_copy_has_nothing_of_what_the_link_led_to_before(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    write(s3_server, bucket, {"many/a": b"a", "many/b": b"b" * 5000})
    keys = s3_server.keys["admin"]
    secrets = {keys["AWS_ACCESS_KEY_ID"]: keys["AWS_SECRET_ACCESS_KEY"]}
    link, out = f"s3://{bucket}/many/**", tmp_path / "out"
    with FaultProxy(s3_server.endpoint, Script([]), secrets=secrets) as proxy:

        def replace(hit: Hit) -> None:
            if hit.method == "GET" and "many/b" in hit.target:
                deadline = time.monotonic() + 30
                while not list(tmp_path.glob(".datums-cp-*/files/a")) and time.monotonic() < deadline:
                    time.sleep(0.02)
                write(s3_server, bucket, {"many/b": b"B" * 5000})

        proxy.watch = replace
        done = datums("cp", link, str(out), env={**keys, "AWS_ENDPOINT_URL": proxy.endpoint})
    assert done.code == 1 and "many/b" in done.err and "is kept in" not in done.err, done
    assert list(tmp_path.iterdir()) == []
    s3_server.boto().delete_object(Bucket=bucket, Key="many/a")
    done = datums("cp", link, str(out), env={**keys, "AWS_ENDPOINT_URL": s3_server.endpoint})
    assert done.code == 0, done.err
    assert below(out) == {"b": b"B" * 5000}


def test_an_interrupted_copy_goes_on(s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    tree = {f"many/{n:03}": os.urandom(2000) for n in range(120)}
    write(s3_server, bucket, tree)
    keys = s3_server.keys["admin"]
    secrets = {keys["AWS_ACCESS_KEY_ID"]: keys["AWS_SECRET_ACCESS_KEY"]}
    link, out = f"s3://{bucket}/many/**", tmp_path / "out"
    # One file never comes.
    faults = [Fault(do="black-hole", method="GET", path=r"many/060", times=0)]
    with FaultProxy(s3_server.endpoint, Script(faults), secrets=secrets) as proxy:
        with begun("cp", link, str(out), env={**keys, "AWS_ENDPOINT_URL": proxy.endpoint}) as process:
            deadline = time.monotonic() + 60
            while sum(1 for _ in tmp_path.glob(".datums-cp-*/files/*")) < len(tree) - 1:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.02)
            done = interrupted(process)
        assert done.code == 130, done.err
        assert "run the same command again to go on" in done.err
        assert not out.exists()
        stage = next(tmp_path.glob(".datums-cp-*"))
        assert not (stage / ".datums-partial").exists()
        assert stage.stat().st_mode & 0o077 == 0
        for key in tree:
            if key != "many/060":
                s3_server.boto().delete_object(Bucket=bucket, Key=key)  # what is there already is not asked for again
        proxy.script = Script([])
        done = datums("cp", link, str(out), env={**keys, "AWS_ENDPOINT_URL": proxy.endpoint})
    assert done.code == 0, done.err
    assert below(out) == {key.removeprefix("many/"): body for key, body in tree.items()}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


async def test_by_the_stores_of_a_cluster(
    control_plane: ControlPlane, kube: Kube, namespace: str, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    write(s3_server, bucket, TREE)
    config = ["--kubeconfig", str(control_plane.kubeconfig), "-n", namespace]
    await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": s3_server.keys["admin"]})
    out = str(tmp_path / "a")

    async def run(*arguments: str) -> Any:
        secrets = (s3_server.keys["admin"]["AWS_SECRET_ACCESS_KEY"],)
        return await datums_beside(*arguments, *config, secrets=secrets)

    done = await run("cp", f"s3://{bucket}/raw/a.csv", out)
    assert done.code == 1
    assert f"no DataStore that namespace {namespace} may use has s3://{bucket}" in done.err
    s3 = {"bucket": bucket, "endpoint": s3_server.endpoint, "forcePathStyle": True}
    spec = {"s3": s3, "credentials": {"secretRef": {"name": "keys"}}, "readable": ["raw/"]}
    body = {"apiVersion": DATASTORES.api_version, "kind": "DataStore", "spec": spec}
    await kube.create(DATASTORES, namespace, body | {"metadata": {"name": "ml"}})
    assert (await run("cp", f"s3://{bucket}/raw/a.csv", out)).code == 0
    assert Path(out).read_bytes() == TREE["raw/a.csv"]
    done = await run("ls", "store://ml/raw/**")
    assert len(done.out.splitlines()) == 3, done.err
    done = await run("ls", "store://ml/raw-not/x")
    assert done.code == 1
    assert "spec.readable" in done.err
    done = await run("ls", "store://other/x")
    assert "there is no DataStore other" in done.err


async def test_datums_of_a_cluster(
    control_plane: ControlPlane, kube: Kube, namespace: str, s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    pod = Pod(tmp_path / "pod", s3_server, bucket)
    files: dict[str, bytes | None] = {"a": b"a" * 10, "deep/b": b"b" * 2000}
    # The project of the bucket's layout is that of `Pod`; its DataStore is called as there.
    key, digest, entries = pod.save("first", files, packs=1)
    del namespace
    from datums.control.kube import NAMESPACES

    for name in ("churn", "platform"):
        await kube.create(NAMESPACES, None, {"metadata": {"name": name}})
    await kube.create(SECRETS, "platform", {"metadata": {"name": "keys"}, "stringData": s3_server.keys["admin"]})
    s3 = {"bucket": bucket, "endpoint": s3_server.endpoint, "forcePathStyle": True}
    spec = {"s3": s3, "credentials": {"secretRef": {"name": "keys"}}, "allowedNamespaces": {"from": "All"}}
    body = {"apiVersion": DATASTORES.api_version, "kind": "DataStore", "spec": spec}
    await kube.create(DATASTORES, "platform", body | {"metadata": {"name": STORE.partition("/")[2]}})
    source = {
        "execution": {"name": "first", "uid": UID, "attempt": 1},
        "manifest": {"store": STORE, "key": key, "sha256": digest},
    }
    bundle = str(ids.bundle_id(SET))
    size = sum(len(data or b"") for data in files.values())
    objects = {bundle: {"size": size, "files": len(files), "source": source}}
    first = entries[0]
    assert first.location is not None
    place = {"store": STORE, "key": first.location.key, "offset": first.location.offset}
    objects[first.datum] = {"path": first.path, "size": first.size, "sha256": first.sha256, "location": place, "source": source}
    for name, spec in objects.items():
        labels = {LABEL_SET: SET}
        datum = {"apiVersion": DATUMS.api_version, "kind": "Datum", "metadata": {"name": name, "labels": labels}, "spec": spec}
        await kube.create(DATUMS, "churn", datum)
    config = ["--kubeconfig", str(control_plane.kubeconfig), "-n", "churn"]
    listed = await datums_beside("ls", f"datum://{bundle}", "-o", "json", *config)
    rows = {row["path"]: row for row in map(json.loads, listed.out.splitlines())}
    assert {path: row["sha256"] for path, row in rows.items()} == {entry.path: entry.sha256 for entry in entries}, listed.err
    done = await datums_beside("cp", f"datum://{bundle}", str(tmp_path / "all"), *config)
    assert done.code == 0, done.err
    assert below(tmp_path / "all") == files
    # One datum that has an object, and one that is only in the manifest of its set.
    for entry in entries:
        done = await datums_beside("cp", f"datum://{entry.datum}", str(tmp_path / entry.datum), *config)
        assert done.code == 0, done.err
        assert (tmp_path / entry.datum).read_bytes() == files[entry.path]
        listed = await datums_beside("ls", f"datum://{entry.datum}", *config)
        assert entry.path in listed.out
    done = await datums_beside("cp", f"datum://{bundle}/deep/b", str(tmp_path), *config)
    assert (tmp_path / "b").read_bytes() == files["deep/b"]
    done = await datums_beside("ls", f"datum://{bundle.replace(bundle[0], '0', 1)}", *config)
    assert done.code in (1, 2)
