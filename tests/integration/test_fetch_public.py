"""`fetch` of public files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datums.model.plan import (
    InputPlan,
    WebSource,
)
from datums.stores.errors import NotTheFile
from datums.transfer.web import Answer, read
from tests.integration.fetch_kit import Pod
from tests.integration.fidelity_kit import FetchPod, sha
from tests.integration.s3_fixture import S3Server
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
        if path == "/ends-early.bin":
            return self.cut(b"always this")
        if path == "/page.html":
            return self.answer(200, b"<html>", **{"Content-Type": "text/html"})
        if path == "/secret":
            return self.answer(403, b"no")
        if path == "/cut-once.bin" and not Web.broken_first:
            Web.broken_first += 1
            return self.cut(b"only this")
        if path in ("/data.bin", "/cut-once.bin", "/a%20b.bin"):
            return self.answer(200, b"data", ETag='"v1"')
        return self.answer(404, b"<html>not here</html>")

    def cut(self, body: bytes) -> None:
        """Ends after less than the 1,000 bytes that it promises."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def web() -> Iterator[str]:
    Web.broken_first = 0
    with serving(Web) as url:
        yield url


@pytest.fixture
def pod(tmp_path: Path, s3_server: S3Server, bucket: str) -> FetchPod:
    return FetchPod(tmp_path / "pod", s3_server, bucket)


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


@pytest.mark.parametrize("path", ["/login.tar", "/loop"])
def test_what_is_no_file_is_no_file_that_is_optional(fetch_pod: Pod, web: str, path: str) -> None:
    fetch_pod.plan(public("x", web + path, optional=True))
    result = fetch_pod.fetch()
    assert (result.reason, "correct the link" in result.message) == ("InputNotFound", True), result


def test_what_ends_early_each_time_is_given_up(pod: FetchPod, web: str) -> None:
    pod.plan(public("x", f"{web}/ends-early.bin"))
    ran = pod.run(constants={"datums.transfer.fetch_retry:GIVE_UP_SECONDS": 1.0})
    assert (ran.result.reason, ran.tree) == ("StoreUnavailable", {}), ran.result
    assert "ended after 11 of 1000 bytes" in ran.result.message


@pytest.mark.parametrize("url", ["https://example..com/x", "http://localhost:99999/x", "http://[1/x"])
def test_a_url_that_cannot_be_asked_for_is_said_to_be_wrong(url: str) -> None:
    with pytest.raises(NotTheFile, match="correct the link"):
        list(read(url, Answer()))


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
