from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datums.model.commit import Report
from datums.transfer.local_agent import LocalAgent
from datums.transfer.report import Reporter


class Operator:
    """An agent endpoint that can fail."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, dict[str, object], str]] = []
        self.status = 204
        operator = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operator.seen.append((time.monotonic(), body, self.headers["Authorization"]))
                self.send_response(operator.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def operator() -> Iterator[Operator]:
    made = Operator()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("one\n")
    return tmp_path / "token"


def until(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_at_most_one_a_second_the_latest_counts_and_a_commit_goes_at_once(operator: Operator, token: Path) -> None:
    reporter = Reporter(operator.url, str(token))
    for n in range(50):
        reporter.send(Report(phase="Running", files=n))
        time.sleep(0.002)
    token.write_text("two")
    reporter.send(Report(phase="Committed", files=99))
    until(lambda: operator.seen and operator.seen[-1][1]["phase"] == "Committed")
    assert operator.seen[-1][0] - operator.seen[0][0] < 0.9
    assert len(operator.seen) == 2 and operator.seen[-1][2] == "Bearer two"
    reporter.close(1)


def test_what_says_nothing_new_is_not_sent(operator: Operator, token: Path) -> None:
    reporter = Reporter(operator.url, str(token))
    for _ in range(3):
        reporter.send(Report(phase="Running"))
    reporter.close(2)
    assert len(operator.seen) == 1


def test_it_goes_on_after_the_operator_failed(operator: Operator, token: Path) -> None:
    operator.status = 503
    reporter = Reporter(operator.url, str(token))
    reporter.send(Report(phase="Committed"))
    until(lambda: operator.seen)
    operator.status = 204
    until(lambda: len(operator.seen) == 2)
    reporter.close(1)


def test_nobody_there_holds_nothing_up(token: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    began = time.monotonic()
    for url in (f"http://127.0.0.1:{port}", ""):
        reporter = Reporter(url, str(token))
        reporter.send(Report(phase="Committed"))
        reporter.close(0.5)
    assert time.monotonic() - began < 1


def post(url: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_the_local_agent_takes_a_status_detail_and_nothing_else() -> None:
    details: list[str] = []
    door = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    agent = LocalAgent(door, "/detail", details.append)
    assert post(f"{url}/detail", b'{"status_detail": "epoch 1"}') == 200
    assert post(f"{url}/detail", json.dumps({"status_detail": "x" * 5000}).encode()) == 200
    assert post(f"{url}/elsewhere", b'{"status_detail": "no"}') == 404
    assert post(f"{url}/detail", b'{"status_detail": 3}') == 400
    assert post(f"{url}/detail", b"\xff") == 400
    assert details == ["epoch 1", "x" * 1024]
    agent.close()
