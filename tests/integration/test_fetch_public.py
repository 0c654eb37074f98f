"""`fetch` of public files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from datums.model.plan import (
    InputPlan,
    WebSource,
)
from tests.integration.fetch_kit import Pod
from tests.integration.fidelity_kit import sha
from tests.integration.web_kit import Answering, serving


class Web(Answering):
    """A web server with good and bad answers."""

    broken_first = 0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/moved":
            return self.answer(302, b"", Location="/data.bin")
        if path == "/loop":
            return self.answer(302, b"", Location="/loop")
        if path == "/file-scheme":
            return self.answer(302, b"", Location="file:///etc/passwd")
        if path == "/login.tar":
            return self.answer(200, b"<html>log in</html>", **{"Content-Type": "text/html; charset=utf-8"})
        if path == "/page.html":
            return self.answer(200, b"<html>", **{"Content-Type": "text/html"})
        if path == "/secret":
            return self.answer(403, b"no")
        if path == "/cut-once.bin" and not Web.broken_first:
            Web.broken_first += 1
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
            return None
        if path in ("/data.bin", "/cut-once.bin", "/a%20b.bin"):
            return self.answer(200, b"data", ETag='"v1"')
        return self.answer(404, b"<html>not here</html>")


@pytest.fixture
def web() -> Iterator[str]:
    Web.broken_first = 0
    with serving(Web) as url:
        yield url


def public(name: str, *urls: str, **more: Any) -> InputPlan:
    return InputPlan(name=name, input_id=name, sources=[WebSource(link=url, url=url) for url in urls], **more)


def test_public_files(fetch_pod: Pod, web: str) -> None:
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
def test_public_files_that_cannot_be_had(fetch_pod: Pod, web: str, path: str, reason: str, words: str) -> None:
    fetch_pod.plan(public("x", web + path))
    result = fetch_pod.fetch()
    assert (result.reason, words in result.message) == (reason, True), result
    assert "hidden" not in result.message
