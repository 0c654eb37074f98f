"""A single file by https or http from a server that does what servers do: the input is the file, or a typed reason names it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from datums.model.links import NO_PIN, Pin
from datums.model.plan import InputPlan, WebSource
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import TRANSIENT, WAYS, Fault, Script, at
from tests.integration.fidelity_kit import FetchPod, check_fetched, sweep
from tests.integration.s3_fixture import S3Server
from tests.integration.web_kit import Answering, serving

FILE = random.Random(6).randbytes(3 << 20)


class Files(Answering):
    """A web server that has ranges and ETags, as most have."""

    content: ClassVar[dict[str, bytes]] = {}
    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        data = self.content.get(path)
        if path == "/moved":
            return self.answer(302, b"", Location="/file.bin")
        if data is None:
            return self.answer(404, b"<html>nothing here</html>", **{"Content-Type": "text/html"})
        headers = {"ETag": self._etag(data), "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if path == "/disposition":
            headers["Content-Disposition"] = 'attachment; filename="../../elsewhere.bin"'
        wanted = self.headers.get("Range", "")
        if wanted and self.headers.get("If-Range", headers["ETag"]) == headers["ETag"]:
            self.ranges.append(wanted)
            first = int(wanted.removeprefix("bytes=").partition("-")[0])
            if first >= len(data):
                return self.answer(416, b"", **{"Content-Range": f"bytes */{len(data)}"})
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return self.answer(206, data[first:], **headers)
        return self.answer(200, data, **headers)

    def _etag(self, data: bytes) -> str:
        return f'"{hashlib.sha256(data).hexdigest()[:12]}"'


@pytest.fixture
def origin() -> Iterator[str]:
    Files.content.clear()
    Files.content.update(dict.fromkeys(("/file.bin", "/disposition", "/a b.bin".replace(" ", "%20")), FILE))
    Files.ranges.clear()
    with serving(Files) as url:
        yield url


@pytest.fixture
def pod(tmp_path: Path, s3_server: S3Server, bucket: str) -> FetchPod:
    return FetchPod(tmp_path / "pod", s3_server, bucket)


def web(url: str, pin: Pin = NO_PIN, **more: Any) -> InputPlan:
    return InputPlan(name="x", input_id="x", sources=[WebSource(link=url, url=url, pin=pin)], **more)


def test_names(pod: FetchPod, origin: str) -> None:
    cases = {"/file.bin": "file.bin", "/moved": "moved", "/disposition": "disposition", "/a b.bin": "a b.bin"}
    for path, name in cases.items():
        pod.plan(web(origin + path))
        ran = pod.run()
        assert (ran.result.reason, set(ran.tree)) == ("", {f"x/{name}"}), ran
        (pod.inputs / "x" / name).unlink()
    pod.plan(web(f"{origin}/disposition", filename="mine.bin"))
    assert pod.run().tree == {"x/mine.bin": FILE}


def test_every_way_in_which_one_answer_fails(pod: FetchPod, origin: str, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    def trial(way: str) -> None:
        one = FetchPod(tmp_path / way.replace(" ", "-"), s3_server, bucket)
        with FaultProxy(origin, Script([at(1, way)], seed=3)) as proxy:
            one.plan(web(f"{proxy.endpoint}/file.bin?token=hidden"))
            ran = one.run()
            check_fetched(ran, {"x/file.bin": FILE}, [f"{proxy.endpoint}/file.bin"])
            assert "hidden" not in ran.result.message + ran.log
            if way in TRANSIENT or way == "longer":
                assert ran.result.reason == "", f"{ran.result}"

    # Of a public file nobody knows the size or the digest beforehand: what is whole by all signs is the file.
    beyond_knowledge = ("flip", "shorter", "certificate", "slow", "black hole", "silent body")
    sweep([(way, lambda way=way: trial(way)) for way in WAYS if way not in beyond_knowledge])


@pytest.mark.parametrize("way", ["cut", "reset after"])
def test_a_download_goes_on_where_it_broke(pod: FetchPod, origin: str, way: str) -> None:
    with FaultProxy(origin, Script([at(1, way), at(2, way)], seed=1)) as proxy:
        pod.plan(web(f"{proxy.endpoint}/file.bin"))
        assert pod.run().tree == {"x/file.bin": FILE}
        assert len(Files.ranges) == 2, proxy.story()


def test_a_file_that_is_replaced_halfway_is_read_anew(pod: FetchPod, origin: str) -> None:
    other = FILE[::-1]
    with FaultProxy(origin, Script([at(1, "cut")], seed=1)) as proxy:
        proxy.watch = lambda hit: Files.content.update({"/file.bin": other}) if hit.number == 2 else None
        pod.plan(web(f"{proxy.endpoint}/file.bin"))
        ran = pod.run()
        assert ran.tree in ({"x/file.bin": other}, {}), "never a mixture"
        assert ran.tree or ran.result.reason == "InputChanged"


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        (Fault(do="redirect", times=0), ("InputNotFound",)),
        (Fault(do="html", times=0), ("InputNotFound",)),
        (Fault(do="status", status=404, body="<html>not here</html>", times=0), ("InputNotFound",)),
        (Fault(do="status", status=403, times=0), ("AccessDenied",)),
    ],
)
def test_what_no_second_try_mends(pod: FetchPod, origin: str, fault: Fault, reasons: tuple[str, ...]) -> None:
    with FaultProxy(origin, Script([fault])) as proxy:
        pod.plan(web(f"{proxy.endpoint}/file.bin"))
        ran = pod.run()
        check_fetched(ran, {"x/file.bin": FILE}, [f"{proxy.endpoint}/file.bin"])
        assert ran.result.reason in reasons, ran.result


def test_a_certificate_that_nobody_vouches_for(pod: FetchPod, origin: str, tmp_path: Path) -> None:
    with FaultProxy(origin, certificates=Certificates(tmp_path)) as proxy:
        pod.plan(web(f"{proxy.endpoint}/file.bin"))
        ran = pod.run()
        assert ran.result.reason in ("StoreUnavailable", "StoreNotReady") and "certificate" in ran.result.message, ran.result
        assert ran.tree == {}


def test_a_pinned_rerun_gets_the_same_bytes_or_fails(pod: FetchPod, origin: str) -> None:
    pin = Pin(sha256=hashlib.sha256(FILE).hexdigest())
    pod.plan(web(f"{origin}/file.bin", pin))
    assert pod.run().tree == {"x/file.bin": FILE}
    (pod.inputs / "x/file.bin").unlink()
    Files.content["/file.bin"] = FILE[::-1]
    ran = pod.run()
    assert (ran.result.reason, ran.tree) == ("InputChanged", {}), ran.result
    assert f"{origin}/file.bin" in ran.result.message
