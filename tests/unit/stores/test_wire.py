"""Requests of our own, against a server that keeps its clients waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from datums.stores import wire as wires
from datums.stores.wire import Request, Wire, WireError
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script

BODY = b"0123456789" * 200
GET = Request("GET", "/", {})


class Same(BaseHTTPRequestHandler):
    """Answers everything alike."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Same)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_that_trickles_is_broken_off(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    """Each byte comes in time; all of them would take minutes."""
    monkeypatch.setattr(wires, "ANSWER_SECONDS", 0.5)
    certificates = Certificates(tmp_path) if tls else None
    slow = Fault(do="slow", rate=10, first=2)
    with FaultProxy(server, Script([slow]), certificates=certificates) as proxy:
        wire = Wire(proxy.endpoint, ca_bundle=certificates.ca_bundle if certificates else "")
        assert wire.send(GET, 1 << 20).body == BODY
        with pytest.raises(WireError, match="timed out"):
            wire.send(GET, 1 << 20)
        assert [wire.send(GET, 1 << 20).body for _ in range(3)] == [BODY] * 3
