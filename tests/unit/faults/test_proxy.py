"""The fault proxy does what its script says, and nothing else. Against a small server that keeps what it is given."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.faults.certificates import Certificates
from tests.faults.profiles import OVH, Profile
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script, at

BODY = bytes(range(256)) * 40


class Keeper(BaseHTTPRequestHandler):
    """Answers with what was put; `/chunked…` in chunks, `/unsized…` to the connection's end."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[dict[str, bytes]] = {}
    hosts: ClassVar[set[str]] = set()

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"")

    def do_GET(self) -> None:
        self.hosts.add(self.headers["Host"])
        body = self.kept.get(self.path, BODY)
        if self.path.startswith("/chunked"):
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        elif self.path.startswith("/unsized"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True
        else:
            self._answer(body)

    def do_HEAD(self) -> None:
        self._answer(BODY)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Keeper.kept.clear()
    Keeper.hosts.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeper)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def ask(proxy: FaultProxy, path: str = "/x", method: str = "GET", body: bytes | None = None, **more: Any) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request(method, path, body, **more)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/x", "/chunked", "/unsized"])
def test_without_a_fault_everything_passes(server: str, path: str) -> None:
    with FaultProxy(server) as proxy:
        assert ask(proxy, path) == (200, BODY)
        assert ask(proxy, path, "PUT", b"new" * 100_000) == (200, b"")
        assert ask(proxy, path) == (200, b"new" * 100_000)
        assert ask(proxy, path, "HEAD") == (200, b"")
        assert Keeper.hosts == {f"127.0.0.1:{proxy.port}"}, "the client's Host, for signatures hold it"
        assert (len(proxy.hits), proxy.faults) == (4, [])


def test_one_connection_carries_many_requests_and_a_chunked_body(server: str) -> None:
    with FaultProxy(server, Script([at(2, "500")])) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        statuses = []
        for _ in range(4):
            connection.request("GET", "/chunked")
            answer = connection.getresponse()
            statuses.append((answer.status, len(answer.read())))
        connection.close()
    assert [status for status, _ in statuses] == [200, 500, 200, 200]


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("reset before", ConnectionResetError),
        ("reset in the request", ConnectionResetError),
        ("lost answer", ConnectionResetError),
        ("certificate", ConnectionResetError),
        ("cut", http.client.IncompleteRead),
        ("longer", http.client.IncompleteRead),
    ],
)
def test_answers_that_do_not_come_whole(server: str, way: str, error: type[Exception]) -> None:
    with FaultProxy(server, Script([at(1, way)])) as proxy:
        with pytest.raises(error):
            ask(proxy)
        assert ask(proxy) == (200, BODY)
        assert [hit.number for hit in proxy.faults] == [1]


def test_a_reset_after_the_head(server: str) -> None:
    with FaultProxy(server, Script([at(1, "reset after")])) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
        connection.request("GET", "/x")
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            answer.read()
        connection.close()


def test_answers_that_are_not_what_was_asked_for(server: str) -> None:
    script = Script([at(1, "503"), at(2, "html"), at(3, "redirect"), at(4, "expired"), at(5, "shorter"), at(6, "flip")])
    with FaultProxy(server, script) as proxy:
        answers = [ask(proxy) for _ in range(6)]
    assert [status for status, _ in answers] == [503, 200, 302, 403, 200, 200]
    assert b"SlowDown" in answers[0][1] and b"<html>" in answers[1][1] and b"ExpiredToken" in answers[3][1]
    assert answers[4][1] == BODY[:-1]
    different = [(one ^ other).bit_count() for one, other in zip(answers[5][1], BODY, strict=True) if one != other]
    assert different == [1]


@pytest.mark.parametrize("way", ["black hole", "silent body", "slow"])
def test_silence_lasts_until_the_client_or_the_proxy_ends(server: str, way: str) -> None:
    with FaultProxy(server, Script([at(1, way)])) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=0.5)
        connection.request("GET", "/x")
        with pytest.raises(TimeoutError):
            connection.getresponse().read()
        connection.close()


def test_some_bytes_a_second(server: str) -> None:
    with FaultProxy(server, Script([Fault(do="slow", rate=50)])) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
        connection.request("GET", "/x")
        answer = connection.getresponse()
        assert [answer.read1() for _ in range(3)] == [b"\0", b"\1", b"\2"]
        connection.close()


def test_a_lost_answer_leaves_the_work_done_and_a_reset_does_not(server: str) -> None:
    with FaultProxy(server, Script([at(1, "lost answer"), at(2, "reset in the request")])) as proxy:
        for path in ("/done", "/not-done"):
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                ask(proxy, path, "PUT", b"1" * 10)
    assert Keeper.kept == {"/done": b"1" * 10}


def test_which_requests_a_fault_is_for(server: str) -> None:
    faults = [Fault(do="status", method="GET", path=r"^/b", first=2, times=2), Fault(do="html", path="/c", times=0)]
    with FaultProxy(server, Script(faults)) as proxy:
        statuses = [ask(proxy, path)[0] for path in ("/b", "/a", "/b", "/b", "/b")]
        assert statuses == [200, 200, 500, 500, 200]
        assert ask(proxy, "/b", "PUT", b"")[0] == 200
        assert all(b"<html>" in ask(proxy, "/c")[1] for _ in range(3))
        proxy.lift()
        assert ask(proxy, "/c") == (200, BODY)
        assert "GET /c  <- html" in proxy.story()


def test_the_same_seed_hits_the_same_requests(server: str) -> None:
    def hit(seed: int) -> list[int]:
        with FaultProxy(server, Script([Fault(do="status", times=0, share=0.3)], seed)) as proxy:
            for _ in range(40):
                ask(proxy)
            return [hit.number for hit in proxy.faults]

    assert hit(1) == hit(1) != hit(2)
    assert 0 < len(hit(1)) < 40


def test_tls_and_a_certificate_that_has_expired(server: str, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    trust = ssl.create_default_context(cadata=certificates.ca_bundle)
    with FaultProxy(server, Script([at(2, "certificate")]), certificates=certificates) as proxy:

        def get() -> bytes:
            with urllib.request.urlopen(f"{proxy.endpoint}/x", context=trust) as answer:
                return bytes(answer.read())

        assert get() == BODY
        with pytest.raises(ConnectionResetError):
            get()
        with pytest.raises(urllib.error.URLError, match="expired"):
            get()
        assert get() == BODY


def test_a_provider_that_knows_no_checksums_and_one_that_takes_few_requests(server: str) -> None:
    with FaultProxy(server, profile=OVH) as proxy:
        assert ask(proxy)[0] == 200
        for header in ("x-amz-checksum-crc32c", "x-amz-sdk-checksum-algorithm", "X-Amz-Trailer"):
            assert ask(proxy, "/p", "PUT", b"1", headers={header: "1"})[0] == 400
        trailer = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
        assert ask(proxy, "/p", "PUT", b"1", headers=trailer)[0] == 400
    with FaultProxy(server, profile=Profile(requests_per_second=0.001, burst=3)) as proxy:
        assert [ask(proxy)[0] for _ in range(5)] == [200, 200, 200, 503, 503]


def test_the_program(server: str, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"seed": 1, "profile": "ovh", "faults": [{"do": "status", "status": 418, "number": 1}]}))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults", "--upstream", server, "--script", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{endpoint}/x")
        refused.value.close()
        assert refused.value.code == 418
        assert "status 418" in process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 0
