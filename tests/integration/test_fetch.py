"""`fetch` as a process of its own, against a real S3 server and a real web server on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import socket
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from datums.model import layout, links, manifest
from datums.model.commit import FetchResult, Report, Resolved
from datums.model.links import Pin
from datums.model.manifest import Entry, Header, Location
from datums.model.plan import (
    DatumSource,
    InputPlan,
    ObjectsSource,
    SetSource,
)
from tests.integration.fetch_kit import UID, Pod, objects
from tests.integration.fidelity_kit import sha
from tests.integration.s3_fixture import STORE, S3Server, forward


def test_nothing_to_load(fetch_pod: Pod) -> None:
    parameters = {"epochs": 5, "rate": 1e-05, "big": 1e16, "text": "a\x85b\u2028c: {}"}
    fetch_pod.plan(parameters=parameters, config={"valohai.execution-title": "t"})
    result = fetch_pod.fetch()
    assert (result.reason, result.files, result.seconds < 0.4) == ("", 0, True)
    run = fetch_pod.root / "datums/run"
    for fifo in ("lifeline", "stop", "gate"):
        assert stat.S_ISFIFO((run / fifo).stat().st_mode)
        assert stat.S_IMODE((run / fifo).stat().st_mode) == 0o666
    assert os.access(run / "busybox", os.X_OK)
    assert (run / "tini-static").read_bytes() == (fetch_pod.tools / "tini-static").read_bytes()
    assert fetch_pod.document("parameters") == parameters
    assert fetch_pod.document("inputs") == {}
    assert list(fetch_pod.document("api")) == ["set_status_detail"]
    assert fetch_pod.document("execution") == {"valohai.execution-title": "t"}
    assert fetch_pod.document("runtime") == {}
    assert fetch_pod.resolved == Resolved()
    assert fetch_pod.fetch().reason == ""  # and once more


def test_a_glob_with_every_way_to_keep_directories(fetch_pod: Pod) -> None:
    for key in ("raw/img/a/1.png", "raw/img/b c/é.png", "raw/img/readme.txt", "raw/img-old/x.png"):
        fetch_pod.store.put(key, key.encode())
    fetch_pod.plan(
        objects("flat", "raw/img/**/*.png"),
        objects("suffix", "raw/img/**/*.png", keep_directories="Suffix"),
        objects("full", "raw/img/**/*.png", keep_directories="Full"),
        objects("level", "raw/img/*"),
    )
    assert fetch_pod.fetch().files == 7
    assert fetch_pod.files("flat") == {"1.png": b"raw/img/a/1.png", "é.png": "raw/img/b c/é.png".encode()}
    assert set(fetch_pod.files("suffix")) == {"a/1.png", "b c/é.png"}
    assert set(fetch_pod.files("full")) == {"raw/img/a/1.png", "raw/img/b c/é.png"}
    assert set(fetch_pod.files("level")) == {"readme.txt"}
    one = fetch_pod.root / "valohai/inputs/flat/1.png"
    assert stat.S_IMODE(one.stat().st_mode) == 0o444
    assert stat.S_IMODE((fetch_pod.root / "valohai/inputs/suffix/b c").stat().st_mode) == 0o755
    assert not (fetch_pod.root / "valohai/inputs/.datums-partial").exists()


def test_what_is_written_down_of_the_inputs(fetch_pod: Pod, s3_server: S3Server) -> None:
    fetch_pod.store.put("raw/x.csv", b"1,2\n")
    fetch_pod.plan(objects("x", "raw/x.csv"), objects("none", "raw/nothing*", optional=True))
    assert fetch_pod.fetch().reason == ""
    document = fetch_pod.document("inputs")
    assert document["none"]["files"] == []
    assert document["x"]["files"] == [
        {
            "name": "x.csv",
            "path": "/valohai/inputs/x/x.csv",
            "uri": "store://ml/raw/x.csv",
            "storage_uri": f"s3://{fetch_pod.bucket}/raw/x.csv",
            "size": 4,
            "checksums": {"sha256": sha(b"1,2\n")},
            "metadata": [],
            "input_id": str(UUID(int=7)),
            "download_intent": "always",
            "etag": f'"{hashlib.md5(b"1,2" + bytes([10])).hexdigest()}"',
        }
    ]
    resolved = fetch_pod.resolved
    assert (resolved.files, resolved.bytes) == (1, 4)
    assert resolved.pinned[0].pinned == f"store://ml/raw/x.csv#sha256={sha(b'1,2' + bytes([10]))}"
    assert resolved.manifest is not None
    body = s3_server.boto().get_object(Bucket=fetch_pod.bucket, Key=resolved.manifest.key)["Body"].read()
    assert sha(body) == resolved.manifest.sha256
    reader = manifest.Reader([body])
    assert [(entry.path, entry.sha256, entry.link) for entry in reader] == [("x/x.csv", sha(b"1,2\n"), "store://ml/raw/x.csv")]
    assert reader.header.kind == "inputs"


def test_a_datum_and_its_damage(fetch_pod: Pod) -> None:
    key, digest, entries = fetch_pod.save("first", {"out/model.pkl": b"model"})
    entry = entries[0]
    assert entry.location is not None
    link = f"datum://{entry.datum}"
    source = DatumSource(
        link=link, datum=entry.datum, path=entry.path, store=STORE, key=entry.location.key, size=entry.size, sha256=entry.sha256
    )
    fetch_pod.plan(InputPlan(name="model", input_id=str(UUID(int=1)), sources=[source]))
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("model") == {"model.pkl": b"model"}
    assert fetch_pod.document("inputs")["model"]["files"][0]["datum_id"] == entry.datum
    assert fetch_pod.resolved.pinned[0].pinned == link
    for damaged in (b"mOdel", b"mode", b""):
        (fetch_pod.root / "valohai/inputs/model/model.pkl").unlink(missing_ok=True)
        fetch_pod.store.put(entry.location.key, damaged)
        result = fetch_pod.fetch()
        assert result.reason == "InputDigestMismatch", result
        assert f"s3://{fetch_pod.bucket}/{entry.location.key}" in result.message
        assert fetch_pod.files("model") == {}
    assert key
    assert digest


def test_a_bundle_whole_by_path_by_glob_and_by_id(fetch_pod: Pod) -> None:
    key, digest, entries = fetch_pod.save("first", {"a/1.txt": b"1", "a/2.txt": b"2", "b/3.txt": b"", "empty": None})
    common = {"link": "datum://bundle", "store": STORE, "manifest_key": key, "manifest_sha256": digest}

    def of(name: str, **more: Any) -> InputPlan:
        return InputPlan(name=name, input_id=name, sources=[SetSource(**common, **more)], keep_directories="Full")

    fetch_pod.plan(of("all"), of("path", path="a/2.txt"), of("glob", path="*/?.txt"), of("id", datum=entries[0].datum))
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("all") == {"a/1.txt": b"1", "a/2.txt": b"2", "b/3.txt": b""}
    assert (fetch_pod.root / "valohai/inputs/all/empty").is_dir()
    assert set(fetch_pod.files("path")) == {"a/2.txt"}
    assert len(fetch_pod.files("glob")) == 3
    assert set(fetch_pod.files("id")) == {"a/1.txt"}
    assert fetch_pod.document("inputs")["path"]["files"][0]["metadata"] == [{"of": "a/2.txt"}]
    fetch_pod.plan(of("gone", path="a/9.txt"))
    assert fetch_pod.fetch().reason == "InputNotFound"
    fetch_pod.store.put(key, fetch_pod.store.get(key)[:-1])
    fetch_pod.plan(of("all"))
    assert fetch_pod.fetch().reason == "InputDigestMismatch"


def test_a_manifest_that_is_gone_is_no_input_that_is_optional(fetch_pod: Pod) -> None:
    key, digest, entries = fetch_pod.save("first", {"a": b"1"}, packs=1)
    fetch_pod.store.delete(key)
    source = SetSource(link="datum://bundle", store=STORE, manifest_key=key, manifest_sha256=digest)
    fetch_pod.plan(InputPlan(name="all", input_id="all", sources=[source], optional=True))
    result = fetch_pod.fetch()
    assert result.reason == "InputNotFound" and f"{key}, which lists what was saved, is gone" in result.message, result
    pack = entries[0].location
    assert pack is not None
    attempt = pack.key.partition("packs/")[0]
    fetch_pod.plan(objects("x", f"{attempt}**", optional=True))
    result = fetch_pod.fetch()
    assert result.reason == "InputDigestMismatch" and "commit.json" in result.message, result


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
        (objects("x", "datums\\projects\\other\\executions\\e-1\\1\\files\\a"), "NotShared", ["another project"]),
        (objects("x", "raw/../private/a"), "AccessDenied", ["spec.readable"]),
        (objects("x", "raw\\..\\private/a"), "AccessDenied", ["spec.readable"]),
    ],
)
def test_what_cannot_be_loaded_says_why(fetch_pod: Pod, plan: InputPlan, reason: str, words: list[str]) -> None:
    for key in ("raw/1/a.png", "raw/2/a.png", "private/a", "datums/projects/other/executions/e-1/1/files/a"):
        fetch_pod.store.put(key, b"x")
    fetch_pod.plan(plan)
    result = fetch_pod.fetch()
    assert result.reason == reason, result
    for word in words:
        assert word in result.message


def test_own_project_may_be_read_raw(fetch_pod: Pod) -> None:
    _, _, entries = fetch_pod.save("first", {"a": b"1"})
    assert entries[0].location is not None
    fetch_pod.plan(objects("x", entries[0].location.key))
    assert fetch_pod.fetch().reason == ""


def test_markers_are_no_files_and_filename_renames_one(fetch_pod: Pod, s3_server: S3Server) -> None:
    boto = s3_server.boto()
    boto.put_object(Bucket=fetch_pod.bucket, Key="raw/d/", Body=b"")
    boto.put_object(Bucket=fetch_pod.bucket, Key="raw/d/long name.bin", Body=b"x")
    fetch_pod.plan(objects("one", "raw/d/**", filename="short.bin"), objects("twice", "raw/d/*.bin", "raw/d/long name.bin"))
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("one") == {"short.bin": b"x"}
    assert fetch_pod.files("twice") == {"long name.bin": b"x"}
    assert len(fetch_pod.resolved.pinned) == 3


def test_a_pin_holds_or_fails(fetch_pod: Pod) -> None:
    for key in ("raw/p/1", "raw/p/2"):
        fetch_pod.store.put(key, key.encode())
    fetch_pod.plan(objects("p", "raw/p/*"))
    assert fetch_pod.fetch().reason == ""
    pinned = links.parse(fetch_pod.resolved.pinned[0].pinned)
    assert pinned.pin.tree_sha256

    def again(pin: Pin) -> FetchResult:
        source = ObjectsSource(link="store://ml/raw/p/*", store=STORE, pattern="raw/p/*", pin=pin)
        fetch_pod.plan(InputPlan(name="p", input_id="p", sources=[source]))
        return fetch_pod.fetch()

    assert again(pinned.pin).reason == ""
    assert links.parse(fetch_pod.resolved.pinned[0].pinned).pin == pinned.pin
    fetch_pod.store.put("raw/p/2", b"changed")
    assert again(pinned.pin).reason == ""  # what was resolved and loaded stays
    (fetch_pod.root / "datums/state/fetch.db").unlink()
    result = again(pinned.pin)
    assert result.reason == "InputChanged"
    assert pinned.pin.tree_sha256 in result.message


def test_what_is_whole_is_not_loaded_again(fetch_pod: Pod) -> None:
    for n in range(3):
        fetch_pod.store.put(f"raw/big/{n}", bytes([n]) * 100_000)
    fetch_pod.plan(objects("big", "raw/big/*"))
    assert fetch_pod.fetch().reason == ""
    base = fetch_pod.root / "valohai/inputs/big"
    before = {n: (base / str(n)).stat().st_ino for n in range(3)}
    (base / "1").chmod(0o644)
    (base / "1").write_bytes(b"damaged by a power cut")
    (fetch_pod.root / "valohai/inputs/.datums-partial").mkdir()
    (fetch_pod.root / "valohai/inputs/.datums-partial/left").write_bytes(b"half")
    assert fetch_pod.fetch().reason == ""
    after = {n: (base / str(n)).stat().st_ino for n in range(3)}
    assert [before[n] == after[n] for n in range(3)] == [True, False, True]
    assert (base / "1").read_bytes() == b"\x01" * 100_000
    assert not (fetch_pod.root / "valohai/inputs/.datums-partial").exists()


def test_a_store_that_is_wrong_says_so(fetch_pod: Pod) -> None:
    fetch_pod.plan(objects("x", "raw/x"), access=msgspec.structs.replace(fetch_pod.access, bucket="b-none"))
    result = fetch_pod.fetch()
    assert (result.reason, "no bucket 'b-none'" in result.message) == ("StoreNotReady", True)
    (fetch_pod.secret / "store-0.json").write_text(
        json.dumps({"AWS_ACCESS_KEY_ID": "KEYadmin", "AWS_SECRET_ACCESS_KEY": "wrong-secret"})
    )
    fetch_pod.plan(objects("x", "raw/x*"))
    assert fetch_pod.fetch().reason == "AccessDenied"


def test_large_files_come_whole_and_in_order(fetch_pod: Pod, s3_server: S3Server) -> None:
    boto = s3_server.boto()
    large = {f"{n}.bin": random.Random(n).randbytes((20 << 20) * (n + 1) + n) for n in range(3)}
    for name, data in large.items():
        boto.put_object(Bucket=fetch_pod.bucket, Key=f"raw/large/{name}", Body=data)
    fetch_pod.plan(objects("large", "raw/large/*"))
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("large") == large
    digests = {file["name"]: file["checksums"]["sha256"] for file in fetch_pod.document("inputs")["large"]["files"]}
    assert digests == {name: sha(data) for name, data in large.items()}
    before = (fetch_pod.root / "valohai/inputs/large/2.bin").stat().st_ino
    (fetch_pod.root / "valohai/inputs/large/1.bin").unlink()
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("large") == large
    assert (fetch_pod.root / "valohai/inputs/large/2.bin").stat().st_ino == before


def test_an_object_that_is_replaced_after_it_was_resolved(fetch_pod: Pod) -> None:
    for n in range(3):
        fetch_pod.store.put(f"raw/v/{n}", b"first")
    fetch_pod.plan(objects("v", "raw/v/*"))
    assert fetch_pod.fetch().reason == ""
    base = fetch_pod.root / "valohai/inputs/v"
    for change in (lambda: fetch_pod.store.put("raw/v/1", b"other"), lambda: fetch_pod.store.delete("raw/v/1")):
        (base / "1").unlink()
        change()
        result = fetch_pod.fetch()
        assert result.reason == "InputChanged", result
        assert "raw/v/1" in result.message
        assert not (base / "1").exists()
        fetch_pod.store.put("raw/v/1", b"again")
        assert fetch_pod.fetch().reason == ""  # what was resolved is forgotten then
        assert (base / "1").read_bytes() == b"again"


def test_a_store_that_comes_back_is_waited_for_and_reported(fetch_pod: Pod, s3_server: S3Server, tmp_path: Path) -> None:
    fetch_pod.store.put("raw/late", b"late")
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
    fetch_pod.plan(
        objects("x", "raw/late"),
        access=msgspec.structs.replace(fetch_pod.access, endpoint=f"http://127.0.0.1:{port}"),
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
    result = fetch_pod.fetch()
    agent.shutdown()
    agent.server_close()
    assert (result.reason, fetch_pod.files("x")) == ("", {"late": b"late"})
    assert reports[0].phase == "Downloading"
    assert any("store://ml/raw/late: no byte since" in report.trouble for report in reports)
    assert any("refused" in report.trouble for report in reports), reports


def test_a_forged_datum_or_manifest_opens_nothing_of_another_project(fetch_pod: Pod) -> None:
    """Objects of the API can be written by people, and any command can save a file that looks like a manifest."""
    stolen = "datums/projects/other/executions/e-1/1/files/a"
    fetch_pod.store.put(stolen, b"theirs")
    forged = DatumSource(link="datum://x", datum="x", path="a", store=STORE, key=stolen, size=6, sha256=sha(b"theirs"))
    fetch_pod.plan(InputPlan(name="x", input_id=str(UUID(int=7)), sources=[forged]))
    assert fetch_pod.fetch().reason == "NotShared"

    out = io.BytesIO()
    entry = Entry(path="a", size=6, sha256=sha(b"theirs"), datum="x", location=Location(store=STORE, key=stolen))
    summary = manifest.write(out, Header(kind="outputs", project="churn", created="2026-01-01T00:00:00Z"), [entry])
    key = layout.attempt_prefix("datums", "churn", "train", UID, 1) + "files/looks-like-a-manifest"
    fetch_pod.store.put(key, out.getvalue())
    source = SetSource(link="datum://x", store=STORE, manifest_key=key, manifest_sha256=summary.sha256)
    fetch_pod.plan(InputPlan(name="x", input_id=str(UUID(int=7)), sources=[source]))
    assert fetch_pod.fetch().reason == "NotShared"
    assert fetch_pod.files("x") == {}
