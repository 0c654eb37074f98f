"""Many requests of our own at once, in one thread."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest

from datums.stores.wire import Reply, Request, Wire, WireBatch, WireError
from tests.unit.stores.scripted import Asked, Say, serving, talking

GET = Request("GET", "/", {})


def echo(asked: Asked) -> Say:
    """Answers with what was asked for."""
    return Say(200, asked.target.encode() + asked.body)


def everything(batch: WireBatch[Any]) -> dict[Any, Reply | WireError]:
    """What comes of all that is on its way."""
    ended: dict[Any, Reply | WireError] = {}
    while len(batch):
        for tag, answer in batch.take(5.0):
            assert tag not in ended
            ended[tag] = answer
    return ended


def bodies(batch: WireBatch[Any]) -> dict[Any, bytes]:
    return {tag: b"" if isinstance(answer, WireError) else bytes(answer.body) for tag, answer in everything(batch).items()}


def test_each_answer_has_the_tag_of_its_request() -> None:
    with serving(echo) as script:
        batch = Wire(script.url).batch(8)
        for number in range(100):
            if number % 2:
                batch.begin(number, Request("PUT", f"/{number}", {}, b"x" * number), 1000)
            else:
                batch.begin(number, Request("GET", f"/{number}", {}), 1000)
        assert len(batch) == 100
        assert bodies(batch) == {number: f"/{number}".encode() + b"x" * (number if number % 2 else 0) for number in range(100)}


def test_connections_are_used_again() -> None:
    with serving(echo) as script:
        batch = Wire(script.url).batch(8)
        for _ in range(5):
            for number in range(8):
                batch.begin(number, GET, 1000)
            assert len(everything(batch)) == 8
        assert len({asked.connection for asked in script.asked}) <= 8


def test_what_fails_fails_alone() -> None:
    def answer(asked: Asked) -> Say:
        odd = {"/cut": Say(200, b"123", length=10), "/long": Say(200, bytes(11)), "/missing": Say(404, b"none")}
        return odd.get(asked.target) or Say(200, b"1234567890")

    targets = ["/good", "/cut", "/long", "/missing", "/well"]
    with serving(answer) as script:
        batch = Wire(script.url).batch(8)
        for _ in range(3):
            for target in targets:
                batch.begin(target, Request("GET", target, {}), 10)
            ended = everything(batch).items()
            told = {tag: str(each) if isinstance(each, WireError) else (each.status, bytes(each.body)) for tag, each in ended}
            assert "missing" in told.pop("/cut")
            assert "Got invalid answer" in told.pop("/long")
            assert told == {"/good": (200, b"1234567890"), "/missing": (404, b"none"), "/well": (200, b"1234567890")}


def test_connections_that_were_closed_meanwhile_do_no_harm() -> None:
    with serving(lambda asked: echo(asked)._replace(hang_up="at once")) as script:
        batch = Wire(script.url).batch(8)
        for _ in range(3):
            for number in range(8):
                batch.begin(number, Request("PUT", f"/{number}", {}, b"body"), 1000)
            assert bodies(batch) == {number: b"/%dbody" % number for number in range(8)}
            assert all(script.closed.acquire(timeout=5) for _ in range(8))


def test_nobody_there_is_told_of_each() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        batch = Wire(f"http://127.0.0.1:{closed.getsockname()[1]}").batch(8)
        for number in range(3):
            batch.begin(number, GET, 1000)
        ended = everything(batch)
    assert sorted(ended) == [0, 1, 2]
    assert all(isinstance(each, WireError) and "Connect [Errno 111]" in str(each) for each in ended.values())


def test_it_waits_no_longer_than_it_may() -> None:
    with talking(b"") as url:
        batch = Wire(url).batch(8)
        began = time.monotonic()
        assert list(batch.take(60.0)) == []  # nothing is on its way
        batch.begin("x", GET, 1000)
        assert list(batch.take(0.1)) == []
        assert 0.1 <= time.monotonic() - began < 5
        assert len(batch) == 1
        batch.close()


def test_what_is_given_up_is_hung_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        batch = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}").batch(8)
        batch.begin("x", GET, 1000)
        assert list(batch.take(0.05)) == []
        client, _ = listener.accept()
        with client:
            client.settimeout(5)
            assert client.recv(1 << 16).startswith(b"GET / HTTP/1.1\r\n")
            batch.close()
            assert client.recv(1 << 16) == b""
    assert len(batch) == 0
    assert list(batch.take(60.0)) == []


@pytest.mark.parametrize("at_once", [1, 50])
def test_a_wire_has_several_batches(at_once: int) -> None:
    with serving(echo) as script:
        wire = Wire(script.url)
        batches = [wire.batch(at_once) for _ in range(3)]
        for number, batch in enumerate(batches):
            batch.begin(number, Request("GET", f"/{number}", {}), 1000)
        batches[0].close()
        assert wire.send(Request("GET", "/other", {}), 1000).body == b"/other"
        assert [bodies(batch) for batch in batches] == [{}, {1: b"/1"}, {2: b"/2"}]
