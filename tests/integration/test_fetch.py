"""`fetch` as a process of its own, against a real S3 server and a real web server on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml

from datums.model import ids, layout, links, manifest
from datums.model import plan as plans
from datums.model.commit import Commit, FetchResult, ManifestRef, Report, Resolved, Saved
from datums.model.links import Pin
from datums.model.manifest import Entry, Header, Location
from datums.model.plan import (
    DatumSource,
    ExecutionRef,
    InputPlan,
    ObjectsSource,
    OutputPlan,
    Plan,
    SetSource,
    StoreAccess,
    WebSource,
)
from tests.integration.s3_fixture import STORE, S3Server, forward

UID = "0f5d8f1c-6a51-4a0e-9d5e-0c9a3a7b1234"
SET = ids.set_of_attempt(UID, 1)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Pod:
    """The directories of one pod, and a plan for it."""

    def __init__(self, root: Path, server: S3Server, bucket: str) -> None:
        self.root = root
        self.store = server.open(bucket)
        self.bucket = bucket
        self.access = server.access(bucket, readable=["raw/"], credentials="store-0.json")
        self.secret = root / "datums/secret"
        self.secret.mkdir(parents=True)
        (root / "dev").mkdir()
        (self.secret / "store-0.json").write_text(json.dumps(server.keys["admin"]))
        self.tools = root / "tools"
        self.tools.mkdir()
        for name in ("busybox", "tini-static"):
            (self.tools / name).write_bytes(b"#!/bin/sh\n" + name.encode())

    def plan(self, *inputs: InputPlan, access: StoreAccess | None = None, **more: Any) -> None:
        plan = Plan(
            execution=ExecutionRef(namespace="churn", name="train", uid=UID, attempt=1),
            stores={STORE: access or self.access},
            output=OutputPlan(store=STORE),
            inputs=list(inputs),
            **more,
        )
        (self.secret / "plan.json").write_bytes(plans.encode(plan))

    def fetch(self) -> FetchResult:
        done = subprocess.run(
            [sys.executable, "-m", "datums.transfer.fetch"],
            env={"DATUMS_ROOT": str(self.root), "DATUMS_TOOLS": str(self.tools), "PATH": os.environ["PATH"]},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        result = msgspec.json.decode((self.root / "dev/termination-log").read_bytes(), type=FetchResult)
        assert done.returncode == (1 if result.reason else 0), done.stderr
        secret = json.loads((self.secret / "store-0.json").read_text())["AWS_SECRET_ACCESS_KEY"]
        assert secret not in done.stderr + done.stdout + result.message
        return result

    def files(self, name: str) -> dict[str, bytes]:
        base = self.root / "valohai/inputs" / name
        return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}

    def document(self, name: str) -> Any:
        text = (self.root / f"valohai/config/{name}.json").read_text()
        assert yaml.safe_load((self.root / f"valohai/config/{name}.yaml").read_text()) == json.loads(text)
        return json.loads(text)

    @property
    def resolved(self) -> Resolved:
        return msgspec.json.decode((self.root / "datums/state/inputs.json").read_bytes(), type=Resolved)

    def save(self, name: str, files: dict[str, bytes | None], *, packs: int = 0) -> tuple[str, str, list[Entry]]:
        """Saves a set of files as another execution would (None: an empty directory). The manifest's key, digest and entries.

        Args:
            packs: the files lie in so many packs instead of objects of their own, and the attempt has a commit.
        """
        prefix = layout.attempt_prefix("datums", "churn", name, UID, 1)
        entries = []
        tars = [io.BytesIO() for _ in range(packs)]
        for number, (path, data) in enumerate(sorted(files.items())):
            if data is None:
                entries.append(Entry(path=f"{path}/"))
                continue
            place = Location(store=STORE, key=layout.file_key(prefix, path, 0))
            if packs:
                tar = tars[number % packs]
                with tarfile.open(fileobj=tar, mode="w") as archive:
                    info = tarfile.TarInfo(path)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                    end = archive.offset
                tar.seek(end)
                tar.truncate()
                offset = end - -(-len(data) // 512) * 512
                place = Location(store=STORE, key=layout.pack_key(prefix, number % packs), offset=offset)
            else:
                self.store.put(place.key, data)
            datum = str(ids.file_id(SET, path, 0, sha(data)))
            entries.append(Entry(path=path, size=len(data), sha256=sha(data), datum=datum, location=place, metadata={"of": path}))
        for number, tar in enumerate(tars):
            self.store.put(layout.pack_key(prefix, number), tar.getvalue() + bytes(1024))
        entries.sort(key=lambda entry: entry.order)
        out = io.BytesIO()
        summary = manifest.write(out, Header(kind="outputs", project="churn", created="2026-01-01T00:00:00Z"), entries)
        key = layout.manifest_key(prefix, summary.sha256)
        self.store.put(key, out.getvalue())
        if packs:
            saved = Saved(files=summary.files, bytes=summary.bytes, manifest=ManifestRef(STORE, key, summary.sha256))
            execution = ExecutionRef(namespace="churn", name=name, uid=UID, attempt=1)
            commit = Commit(execution=execution, set=SET, created="2026-01-01T00:00:00Z", outputs=saved)
            self.store.put(layout.commit_key(prefix), msgspec.json.encode(commit))
        return key, summary.sha256, entries


@pytest.fixture
def pod(tmp_path: Path, s3_server: S3Server, bucket: str) -> Pod:
    return Pod(tmp_path, s3_server, bucket)


def objects(name: str, *patterns: str, **more: Any) -> InputPlan:
    sources = [ObjectsSource(link=f"store://ml/{pattern}", store=STORE, pattern=pattern) for pattern in patterns]
    return InputPlan(name=name, input_id=str(UUID(int=7)), sources=list(sources), **more)


def test_nothing_to_load(pod: Pod) -> None:
    parameters = {"epochs": 5, "rate": 1e-05, "big": 1e16, "text": "a\x85b\u2028c: {}"}
    pod.plan(parameters=parameters, config={"valohai.execution-title": "t"})
    result = pod.fetch()
    assert (result.reason, result.files, result.seconds < 0.4) == ("", 0, True)
    run = pod.root / "datums/run"
    for fifo in ("lifeline", "stop", "gate"):
        assert stat.S_ISFIFO((run / fifo).stat().st_mode)
        assert stat.S_IMODE((run / fifo).stat().st_mode) == 0o666
    assert os.access(run / "busybox", os.X_OK)
    assert (run / "tini-static").read_bytes() == (pod.tools / "tini-static").read_bytes()
    assert pod.document("parameters") == parameters
    assert pod.document("inputs") == {}
    assert list(pod.document("api")) == ["set_status_detail"]
    assert pod.document("execution") == {"valohai.execution-title": "t"}
    assert pod.document("runtime") == {}
    assert pod.resolved == Resolved()
    assert pod.fetch().reason == ""  # and once more


def test_a_glob_with_every_way_to_keep_directories(pod: Pod) -> None:
    for key in ("raw/img/a/1.png", "raw/img/b c/é.png", "raw/img/readme.txt", "raw/img-old/x.png"):
        pod.store.put(key, key.encode())
    pod.plan(
        objects("flat", "raw/img/**/*.png"),
        objects("suffix", "raw/img/**/*.png", keep_directories="Suffix"),
        objects("full", "raw/img/**/*.png", keep_directories="Full"),
        objects("level", "raw/img/*"),
    )
    assert pod.fetch().files == 7
    assert pod.files("flat") == {"1.png": b"raw/img/a/1.png", "é.png": "raw/img/b c/é.png".encode()}
    assert set(pod.files("suffix")) == {"a/1.png", "b c/é.png"}
    assert set(pod.files("full")) == {"raw/img/a/1.png", "raw/img/b c/é.png"}
    assert set(pod.files("level")) == {"readme.txt"}
    one = pod.root / "valohai/inputs/flat/1.png"
    assert stat.S_IMODE(one.stat().st_mode) == 0o444
    assert stat.S_IMODE((pod.root / "valohai/inputs/suffix/b c").stat().st_mode) == 0o755
    assert not (pod.root / "valohai/inputs/.datums-partial").exists()


def test_what_is_written_down_of_the_inputs(pod: Pod, s3_server: S3Server) -> None:
    pod.store.put("raw/x.csv", b"1,2\n")
    pod.plan(objects("x", "raw/x.csv"), objects("none", "raw/nothing*", optional=True))
    assert pod.fetch().reason == ""
    document = pod.document("inputs")
    assert document["none"]["files"] == []
    assert document["x"]["files"] == [
        {
            "name": "x.csv",
            "path": "/valohai/inputs/x/x.csv",
            "uri": "store://ml/raw/x.csv",
            "storage_uri": f"s3://{pod.bucket}/raw/x.csv",
            "size": 4,
            "checksums": {"sha256": sha(b"1,2\n")},
            "metadata": [],
            "input_id": str(UUID(int=7)),
            "download_intent": "always",
            "etag": f'"{hashlib.md5(b"1,2" + bytes([10])).hexdigest()}"',
        }
    ]
    resolved = pod.resolved
    assert (resolved.files, resolved.bytes) == (1, 4)
    assert resolved.pinned[0].pinned == f"store://ml/raw/x.csv#sha256={sha(b'1,2' + bytes([10]))}"
    assert resolved.manifest is not None
    body = s3_server.boto().get_object(Bucket=pod.bucket, Key=resolved.manifest.key)["Body"].read()
    assert sha(body) == resolved.manifest.sha256
    reader = manifest.Reader([body])
    assert [(entry.path, entry.sha256, entry.link) for entry in reader] == [("x/x.csv", sha(b"1,2\n"), "store://ml/raw/x.csv")]
    assert reader.header.kind == "inputs"


def test_a_datum_and_its_damage(pod: Pod) -> None:
    key, digest, entries = pod.save("first", {"out/model.pkl": b"model"})
    entry = entries[0]
    assert entry.location is not None
    link = f"datum://{entry.datum}"
    source = DatumSource(
        link=link, datum=entry.datum, path=entry.path, store=STORE, key=entry.location.key, size=entry.size, sha256=entry.sha256
    )
    pod.plan(InputPlan(name="model", input_id=str(UUID(int=1)), sources=[source]))
    assert pod.fetch().reason == ""
    assert pod.files("model") == {"model.pkl": b"model"}
    assert pod.document("inputs")["model"]["files"][0]["datum_id"] == entry.datum
    assert pod.resolved.pinned[0].pinned == link
    for damaged in (b"mOdel", b"mode", b""):
        (pod.root / "valohai/inputs/model/model.pkl").unlink(missing_ok=True)
        pod.store.put(entry.location.key, damaged)
        result = pod.fetch()
        assert result.reason == "InputDigestMismatch", result
        assert f"s3://{pod.bucket}/{entry.location.key}" in result.message
        assert pod.files("model") == {}
    assert key
    assert digest


def test_a_bundle_whole_by_path_by_glob_and_by_id(pod: Pod) -> None:
    key, digest, entries = pod.save("first", {"a/1.txt": b"1", "a/2.txt": b"2", "b/3.txt": b"", "empty": None})
    common = {"link": "datum://bundle", "store": STORE, "manifest_key": key, "manifest_sha256": digest}

    def of(name: str, **more: Any) -> InputPlan:
        return InputPlan(name=name, input_id=name, sources=[SetSource(**common, **more)], keep_directories="Full")

    pod.plan(of("all"), of("path", path="a/2.txt"), of("glob", path="*/?.txt"), of("id", datum=entries[0].datum))
    assert pod.fetch().reason == ""
    assert pod.files("all") == {"a/1.txt": b"1", "a/2.txt": b"2", "b/3.txt": b""}
    assert (pod.root / "valohai/inputs/all/empty").is_dir()
    assert set(pod.files("path")) == {"a/2.txt"}
    assert len(pod.files("glob")) == 3
    assert set(pod.files("id")) == {"a/1.txt"}
    assert pod.document("inputs")["path"]["files"][0]["metadata"] == [{"of": "a/2.txt"}]
    pod.plan(of("gone", path="a/9.txt"))
    assert pod.fetch().reason == "InputNotFound"
    pod.store.put(key, pod.store.get(key)[:-1])
    pod.plan(of("all"))
    assert pod.fetch().reason == "InputDigestMismatch"


@pytest.mark.parametrize(
    ("plan", "reason", "words"),
    [
        (objects("x", "raw/nothing.csv"), "InputNotFound", ["input 'x'", "store://ml/raw/nothing.csv", "platform/ml"]),
        (objects("x", "raw/nothing*"), "InputNotFound", ["has no object s3://", "raw/nothing*", "optional"]),
        (objects("x", "raw/img/"), "InputNotFound", ["write store://ml/raw/img/**"]),
        (objects("x", "raw/*/a.png"), "InputNameCollision", ["raw/1/a.png", "raw/2/a.png", "keepDirectories: Full"]),
        (objects("x", "private/a"), "AccessDenied", ["spec.readable", "'raw/'"]),
        (objects("x", "priv*"), "AccessDenied", ["spec.readable"]),
        (objects("x", "**"), "NotShared", ["another project"]),
        (objects("x", "datums/projects/other/executions/e-1/1/files/a"), "NotShared", ["another project"]),
        (objects("x", "datums/projects/**"), "NotShared", ["another project"]),
        (objects("x", "raw/../private/a"), "AccessDenied", ["spec.readable"]),
        (objects("x", "raw\\..\\private/a"), "AccessDenied", ["spec.readable"]),
    ],
)
def test_what_cannot_be_loaded_says_why(pod: Pod, plan: InputPlan, reason: str, words: list[str]) -> None:
    for key in ("raw/1/a.png", "raw/2/a.png", "private/a", "datums/projects/other/executions/e-1/1/files/a"):
        pod.store.put(key, b"x")
    pod.plan(plan)
    result = pod.fetch()
    assert result.reason == reason, result
    for word in words:
        assert word in result.message


def test_own_project_may_be_read_raw(pod: Pod) -> None:
    _, _, entries = pod.save("first", {"a": b"1"})
    assert entries[0].location is not None
    pod.plan(objects("x", entries[0].location.key))
    assert pod.fetch().reason == ""


def test_markers_are_no_files_and_filename_renames_one(pod: Pod, s3_server: S3Server) -> None:
    boto = s3_server.boto()
    boto.put_object(Bucket=pod.bucket, Key="raw/d/", Body=b"")
    boto.put_object(Bucket=pod.bucket, Key="raw/d/long name.bin", Body=b"x")
    pod.plan(objects("one", "raw/d/**", filename="short.bin"), objects("twice", "raw/d/*.bin", "raw/d/long name.bin"))
    assert pod.fetch().reason == ""
    assert pod.files("one") == {"short.bin": b"x"}
    assert pod.files("twice") == {"long name.bin": b"x"}
    assert len(pod.resolved.pinned) == 3


def test_a_pin_holds_or_fails(pod: Pod) -> None:
    for key in ("raw/p/1", "raw/p/2"):
        pod.store.put(key, key.encode())
    pod.plan(objects("p", "raw/p/*"))
    assert pod.fetch().reason == ""
    pinned = links.parse(pod.resolved.pinned[0].pinned)
    assert pinned.pin.tree_sha256

    def again(pin: Pin) -> FetchResult:
        source = ObjectsSource(link="store://ml/raw/p/*", store=STORE, pattern="raw/p/*", pin=pin)
        pod.plan(InputPlan(name="p", input_id="p", sources=[source]))
        return pod.fetch()

    assert again(pinned.pin).reason == ""
    assert links.parse(pod.resolved.pinned[0].pinned).pin == pinned.pin
    pod.store.put("raw/p/2", b"changed")
    assert again(pinned.pin).reason == ""  # what was resolved and loaded stays
    (pod.root / "datums/state/fetch.db").unlink()
    result = again(pinned.pin)
    assert result.reason == "InputChanged"
    assert pinned.pin.tree_sha256 in result.message


def test_what_is_whole_is_not_loaded_again(pod: Pod) -> None:
    for n in range(3):
        pod.store.put(f"raw/big/{n}", bytes([n]) * 100_000)
    pod.plan(objects("big", "raw/big/*"))
    assert pod.fetch().reason == ""
    base = pod.root / "valohai/inputs/big"
    before = {n: (base / str(n)).stat().st_ino for n in range(3)}
    (base / "1").chmod(0o644)
    (base / "1").write_bytes(b"damaged by a power cut")
    (pod.root / "valohai/inputs/.datums-partial").mkdir()
    (pod.root / "valohai/inputs/.datums-partial/left").write_bytes(b"half")
    assert pod.fetch().reason == ""
    after = {n: (base / str(n)).stat().st_ino for n in range(3)}
    assert [before[n] == after[n] for n in range(3)] == [True, False, True]
    assert (base / "1").read_bytes() == b"\x01" * 100_000
    assert not (pod.root / "valohai/inputs/.datums-partial").exists()


def test_a_store_that_is_wrong_says_so(pod: Pod) -> None:
    pod.plan(objects("x", "raw/x"), access=msgspec.structs.replace(pod.access, bucket="b-none"))
    result = pod.fetch()
    assert (result.reason, "no bucket 'b-none'" in result.message) == ("StoreNotReady", True)
    (pod.secret / "store-0.json").write_text(json.dumps({"AWS_ACCESS_KEY_ID": "KEYadmin", "AWS_SECRET_ACCESS_KEY": "wrong-secret"}))
    pod.plan(objects("x", "raw/x*"))
    assert pod.fetch().reason == "AccessDenied"


PACKED = {f"d/{n:03}": bytes([n]) * (n * 37) for n in range(200)} | {"big": b"x" * 300_000, "empty": b""}


@pytest.mark.parametrize("count", [200, 3000])
def test_packed_files_are_loaded_like_others(pod: Pod, count: int) -> None:
    """Many of them are unpacked by a second process as well."""
    packed = PACKED | {f"d/{n:03}": b"%d " % n * (n % 2000) for n in range(200, count)}
    key, digest, entries = pod.save("first", dict(packed), packs=3)
    common = {"link": "datum://bundle", "store": STORE, "manifest_key": key, "manifest_sha256": digest}

    def of(name: str, **more: Any) -> InputPlan:
        return InputPlan(name=name, input_id=name, sources=[SetSource(**common, **more)], keep_directories="Full")

    one = next(entry for entry in entries if entry.path == "d/150")
    assert one.location is not None
    single = DatumSource(
        link=f"datum://{one.datum}", datum=one.datum, path=one.path, store=STORE, key=one.location.key, offset=one.location.offset,
        size=one.size, sha256=one.sha256,
    )  # fmt: skip
    pod.plan(of("all"), of("some", path="d/*7"), InputPlan(name="one", input_id="one", sources=[single]))
    assert pod.fetch().reason == ""
    assert pod.files("all") == packed
    assert pod.files("some") == {path: data for path, data in packed.items() if path.startswith("d/") and path.endswith("7")}
    assert pod.files("one") == {"150": packed["d/150"]}
    assert pod.document("inputs")["all"]["files"][1]["storage_uri"].endswith("/packs/1.tar")
    tar = bytearray(pod.store.get(one.location.key))
    tar[one.location.offset + 100] ^= 1
    pod.store.put(one.location.key, bytes(tar))
    shutil.rmtree(pod.root / "valohai/inputs/all")
    pod.plan(of("all"))
    result = pod.fetch()
    assert result.reason == "InputDigestMismatch"
    assert "packs/" in result.message
    assert one.path not in pod.files("all")


def test_raw_links_find_files_in_packs(pod: Pod) -> None:
    pod.save("first", dict(PACKED), packs=2)
    pod.save("plain", {"a": b"plain"})
    attempt = layout.attempt_prefix("datums", "churn", "first", UID, 1)
    pod.plan(
        objects("all", f"{attempt}files/**", keep_directories="Suffix"),
        objects("above", "datums/projects/churn/executions/*/1/files/**/0*", keep_directories="None"),
        objects("one", f"{attempt}files/d/007"),
    )
    assert pod.fetch().reason == ""
    assert pod.files("all") == PACKED
    assert set(pod.files("above")) == {f"{n:03}" for n in range(100)}
    assert pod.files("one") == {"007": PACKED["d/007"]}
    pod.plan(objects("none", f"{attempt}files/d/999"))
    assert pod.fetch().reason == "InputNotFound"


def test_large_files_come_whole_and_in_order(pod: Pod, s3_server: S3Server) -> None:
    boto = s3_server.boto()
    large = {f"{n}.bin": random.Random(n).randbytes((20 << 20) * (n + 1) + n) for n in range(3)}
    for name, data in large.items():
        boto.put_object(Bucket=pod.bucket, Key=f"raw/large/{name}", Body=data)
    pod.plan(objects("large", "raw/large/*"))
    assert pod.fetch().reason == ""
    assert pod.files("large") == large
    digests = {file["name"]: file["checksums"]["sha256"] for file in pod.document("inputs")["large"]["files"]}
    assert digests == {name: sha(data) for name, data in large.items()}
    before = (pod.root / "valohai/inputs/large/2.bin").stat().st_ino
    (pod.root / "valohai/inputs/large/1.bin").unlink()
    assert pod.fetch().reason == ""
    assert pod.files("large") == large
    assert (pod.root / "valohai/inputs/large/2.bin").stat().st_ino == before


def test_an_object_that_is_replaced_after_it_was_resolved(pod: Pod) -> None:
    for n in range(3):
        pod.store.put(f"raw/v/{n}", b"first")
    pod.plan(objects("v", "raw/v/*"))
    assert pod.fetch().reason == ""
    base = pod.root / "valohai/inputs/v"
    for change in (lambda: pod.store.put("raw/v/1", b"other"), lambda: pod.store.delete("raw/v/1")):
        (base / "1").unlink()
        change()
        result = pod.fetch()
        assert result.reason == "InputChanged", result
        assert "raw/v/1" in result.message
        assert not (base / "1").exists()
        pod.store.put("raw/v/1", b"again")
        assert pod.fetch().reason == ""  # what was resolved is forgotten then
        assert (base / "1").read_bytes() == b"again"


class Web(BaseHTTPRequestHandler):
    """A web server with good and bad answers."""

    protocol_version = "HTTP/1.1"
    broken_first = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/moved":
            return self._answer(302, b"", Location="/data.bin")
        if path == "/loop":
            return self._answer(302, b"", Location="/loop")
        if path == "/file-scheme":
            return self._answer(302, b"", Location="file:///etc/passwd")
        if path == "/login.tar":
            return self._answer(200, b"<html>log in</html>", **{"Content-Type": "text/html; charset=utf-8"})
        if path == "/page.html":
            return self._answer(200, b"<html>", **{"Content-Type": "text/html"})
        if path == "/secret":
            return self._answer(403, b"no")
        if path == "/cut-once.bin" and not Web.broken_first:
            Web.broken_first += 1
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
            return None
        if path in ("/data.bin", "/cut-once.bin", "/a%20b.bin"):
            return self._answer(200, b"data", ETag='"v1"')
        return self._answer(404, b"<html>not here</html>")

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def web() -> Iterator[str]:
    Web.broken_first = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def public(name: str, *urls: str, **more: Any) -> InputPlan:
    return InputPlan(name=name, input_id=name, sources=[WebSource(link=url, url=url) for url in urls], **more)


def test_public_files(pod: Pod, web: str) -> None:
    pod.plan(
        public("plain", f"{web}/data.bin?token=hidden"),
        public("moved", f"{web}/moved"),
        public("renamed", f"{web}/a b.bin", filename="c.bin"),
        public("page", f"{web}/page.html"),
        public("cut", f"{web}/cut-once.bin"),
        public("optional", f"{web}/nothing.bin", optional=True),
    )
    assert pod.fetch().reason == ""
    assert pod.files("plain") == {"data.bin": b"data"}
    assert pod.files("moved") == {"moved": b"data"}
    assert pod.files("renamed") == {"c.bin": b"data"}
    assert pod.files("cut") == {"cut-once.bin": b"data"}
    assert pod.files("optional") == {}
    assert pod.document("inputs")["optional"]["files"] == []
    assert f"input plain: {web}/data.bin is not versioned by its server" in pod.resolved.not_reproducible
    assert pod.resolved.pinned[0].pinned == f"{web}/data.bin?token=hidden#sha256={sha(b'data')}"


@pytest.mark.parametrize(
    ("path", "reason", "words"),
    [
        ("/nothing.bin", "InputNotFound", "does not exist (404)"),
        ("/secret?token=hidden", "AccessDenied", "is not public (403)"),
        ("/login.tar", "InputNotFound", "HTML page instead of the file"),
        ("/loop", "InputNotFound", "status 302"),
        ("/file-scheme", "InputNotFound", "status 302"),
        ("/", "InvalidSpec", "set filename of the input"),
    ],
)
def test_public_files_that_cannot_be_had(pod: Pod, web: str, path: str, reason: str, words: str) -> None:
    pod.plan(public("x", web + path))
    result = pod.fetch()
    assert (result.reason, words in result.message) == (reason, True), result
    assert "hidden" not in result.message


def test_a_store_that_comes_back_is_waited_for_and_reported(pod: Pod, s3_server: S3Server, tmp_path: Path) -> None:
    pod.store.put("raw/late", b"late")
    reports: list[Report] = []

    class Agent(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            reports.append(msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])), type=Report))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "datums/token").mkdir()
    (tmp_path / "datums/token/token").write_text("token")
    agent = ThreadingHTTPServer(("127.0.0.1", 0), Agent)
    threading.Thread(target=agent.serve_forever, daemon=True).start()
    pod.plan(
        objects("x", "raw/late"),
        access=msgspec.structs.replace(pod.access, endpoint=f"http://127.0.0.1:{port}"),
        agent_url=f"http://127.0.0.1:{agent.server_port}",
    )

    def serve() -> None:
        time.sleep(6)
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.settimeout(10)
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=forward, args=(client, s3_server.port), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    result = pod.fetch()
    agent.shutdown()
    agent.server_close()
    assert (result.reason, pod.files("x")) == ("", {"late": b"late"})
    assert reports[0].phase == "Downloading"
    assert any("store://ml/raw/late: no byte since" in report.trouble for report in reports)
    assert any("refused" in report.trouble for report in reports), reports


def test_a_forged_datum_or_manifest_opens_nothing_of_another_project(pod: Pod) -> None:
    """Objects of the API can be written by people, and any command can save a file that looks like a manifest."""
    stolen = "datums/projects/other/executions/e-1/1/files/a"
    pod.store.put(stolen, b"theirs")
    forged = DatumSource(link="datum://x", datum="x", path="a", store=STORE, key=stolen, size=6, sha256=sha(b"theirs"))
    pod.plan(InputPlan(name="x", input_id=str(UUID(int=7)), sources=[forged]))
    assert pod.fetch().reason == "NotShared"

    out = io.BytesIO()
    entry = Entry(path="a", size=6, sha256=sha(b"theirs"), datum="x", location=Location(store=STORE, key=stolen))
    summary = manifest.write(out, Header(kind="outputs", project="churn", created="2026-01-01T00:00:00Z"), [entry])
    key = layout.attempt_prefix("datums", "churn", "train", UID, 1) + "files/looks-like-a-manifest"
    pod.store.put(key, out.getvalue())
    source = SetSource(link="datum://x", store=STORE, manifest_key=key, manifest_sha256=summary.sha256)
    pod.plan(InputPlan(name="x", input_id=str(UUID(int=7)), sources=[source]))
    assert pod.fetch().reason == "NotShared"
    assert pod.files("x") == {}
