"""`fetch` of public files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from datums.model.plan import (
    InputPlan,
    WebSource,
)
from tests.integration.fetch_kit import FetchPod, sha


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


def test_public_files(fetch_pod: FetchPod, web: str) -> None:
    fetch_pod.plan(
        public("plain", f"{web}/data.bin?token=hidden"),
        public("moved", f"{web}/moved"),
        public("renamed", f"{web}/a b.bin", filename="c.bin"),
        public("page", f"{web}/page.html"),
        public("cut", f"{web}/cut-once.bin"),
        public("optional", f"{web}/nothing.bin", optional=True),
    )
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("plain") == {"data.bin": b"data"}
    assert fetch_pod.files("moved") == {"moved": b"data"}
    assert fetch_pod.files("renamed") == {"c.bin": b"data"}
    assert fetch_pod.files("cut") == {"cut-once.bin": b"data"}
    assert fetch_pod.files("optional") == {}
    assert fetch_pod.document("inputs")["optional"]["files"] == []
    assert f"input plain: {web}/data.bin is not versioned by its server" in fetch_pod.resolved.not_reproducible
    assert fetch_pod.resolved.pinned[0].pinned == f"{web}/data.bin?token=hidden#sha256={sha(b'data')}"


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
def test_public_files_that_cannot_be_had(fetch_pod: FetchPod, web: str, path: str, reason: str, words: str) -> None:
    fetch_pod.plan(public("x", web + path))
    result = fetch_pod.fetch()
    assert (result.reason, words in result.message) == (reason, True), result
    assert "hidden" not in result.message
