"""Requests of our own, one at a time: what is sent arrives, what comes is taken, and what goes wrong leaves the wire in order."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datums.stores import wire_exchange as wires
from datums.stores.wire import Reply, Request, Wire, WireError
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script
from tests.unit.stores.saved import Saved
from tests.unit.stores.scripted import Say, serving, talking

MIB = 1 << 20
CHUNK = 256 << 10
BODY = b"0123456789" * 200
GET = Request("GET", "/", {})
ERROR = b"<Error><Code>NoSuchKey</Code></Error>"


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def send(wire: Wire) -> bytes:
    return bytes(wire.send(GET, 64 * MIB).body)


def receive(wire: Wire) -> bytes:
    with wire.receive(GET) as incoming:
        return b"".join(incoming.chunks())


def save(wire: Wire) -> bytes:
    return Saved().from_wire(wire)


WAYS = pytest.mark.parametrize("way", [send, receive, save])


@WAYS
@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 5 * MIB + 3])
def test_a_body_of_any_size_comes_whole(way: Callable[[Wire], bytes], size: int) -> None:
    data = random_bytes(size)
    with serving(Say(200, data)) as script:
        wire = Wire(script.url)
        assert [way(wire), way(wire)] == [data, data]
        assert len({asked.connection for asked in script.asked}) == 1


def test_a_large_body_comes_in_pieces_after_its_headers() -> None:
    data, saved = random_bytes(3 * MIB), Saved()
    with serving(Say(200, data, {"ETag": '"e"'})) as script:
        wire = Wire(script.url)
        assert saved.from_wire(wire) == data
        assert [(reply.status, reply.headers["etag"], bytes(reply.body)) for reply in saved.replies] == [(200, '"e"', b"")]
        assert sum(saved.came) == len(data)
        assert saved.sink.close() == hashlib.sha256(data).hexdigest()
        with wire.receive(GET) as incoming:
            assert (incoming.status, incoming.headers["etag"]) == (200, '"e"')
            chunks = list(incoming.chunks())
        assert b"".join(chunks) == data
        assert min(map(len, chunks[:-1])) >= CHUNK
        assert max(map(len, chunks)) <= 2 * CHUNK


def in_pieces(data: bytes) -> tuple[bytes, memoryview, bytearray, bytes]:
    return data[:3], memoryview(data)[3 : MIB + 7], bytearray(data[MIB + 7 :]), b""


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, in_pieces])
def test_what_is_sent_arrives_whole_whatever_was_sent_before(kind: Callable[[bytes], Any]) -> None:
    sizes = [0, 10, 3 * MIB, 0, MIB, MIB + 1, 10]
    with serving(Say(200)) as script:
        wire = Wire(script.url)
        for size in sizes:
            wire.send(Request("PUT", f"/{size}", {"x-empty": "", "x-size": str(size)}, kind(random_bytes(size))), 0)
            wire.send(GET, 0)
            wire.send(Request("DELETE", "/", {}), 0)
        puts, gets, deletes = script.asked[::3], script.asked[1::3], script.asked[2::3]
        assert [(put.method, put.target) for put in puts] == [("PUT", f"/{size}") for size in sizes]
        assert [put.body for put in puts] == [random_bytes(size) for size in sizes]
        assert [put.headers["content-length"] for put in puts] == [str(size) for size in sizes]
        assert {get.method for get in gets} == {"GET"}
        assert {delete.method for delete in deletes} == {"DELETE"}
        # Large bodies have a connection of their own.
        assert len({asked.connection for asked in script.asked}) <= 2
        # What would not be signed is not sent.
        names = {"host", "user-agent", "content-length", "x-empty", "x-size"}
        assert [set(put.headers) for put in puts] == [names] * len(sizes)
        assert [set(asked.headers) for asked in gets + deletes] == [{"host", "user-agent"}] * 2 * len(sizes)


def test_a_path_is_sent_as_it_is() -> None:
    with serving(Say(200)) as script:
        Wire(f"{script.url}/left/aside").send(Request("GET", "/a/../b//c?x=%2F&y", {}), 0)
        assert script.asked[0].target == "/a/../b//c?x=%2F&y"


def test_an_errors_body_is_seen() -> None:
    saved = Saved()
    with serving(Say(404, ERROR), Say(404, ERROR), Say(404, ERROR), Say(500, bytes(MIB))) as script:
        wire = Wire(script.url)
        reply = wire.send(GET, MIB)
        assert (reply.status, bytes(reply.body)) == (404, ERROR)
        saved.from_wire(wire)
        with wire.receive(GET) as incoming:
            assert (incoming.status, incoming.reply()) == (404, reply)
        assert saved.replies == [reply]
        # Of a long one the beginning says enough.
        saved.from_wire(wire)
        with wire.receive(GET) as incoming:
            long = incoming.reply()
    assert {saved.replies[1].status, long.status} == {500}
    assert all(len(ERROR) < len(each.body) <= CHUNK for each in (saved.replies[1], long))
    assert saved.data == b""


def test_an_error_without_a_body_is_one() -> None:
    saved = Saved()
    with serving(Say(403)) as script:
        saved.from_wire(Wire(script.url))
    assert [(reply.status, bytes(reply.body)) for reply in saved.replies] == [(403, b"")]


class Odd(BaseException):
    pass


def refuse(_: object) -> None:
    raise Odd


def refuse_more(size: int) -> None:
    if size:
        raise Odd


@pytest.mark.parametrize("answer", [Say(200, b"1"), Say(200, bytes(3 * MIB)), Say(404, ERROR)])
def test_what_the_caller_raises_passes_through_and_the_wire_goes_on(answer: Say) -> None:
    saved = Saved()
    with serving(answer, answer, answer, Say(200, BODY)) as script:
        wire = Wire(script.url)
        with pytest.raises(Odd):
            wire.save(GET, saved.sink, 0, refuse, saved.count)
        assert saved.data == b""
        with pytest.raises(Odd):
            wire.save(GET, saved.sink, 0, refuse if answer.status == 404 else saved.begin, refuse_more)
        with pytest.raises(Odd), wire.receive(GET):
            raise Odd
        assert [way(wire) for way in (send, save, receive)] == [BODY] * 3


@pytest.mark.parametrize("size", [0, 1, CHUNK + 1, MIB])
def test_what_came_of_an_answer_that_is_cut_is_kept(size: int) -> None:
    data, saved, got = random_bytes(size), Saved(), bytearray()
    with serving(*[Say(200, data, length=2 * MIB)] * 3, Say(200, BODY)) as script:
        wire = Wire(script.url)
        with pytest.raises(WireError, match="missing"):
            saved.from_wire(wire)
        assert (saved.data, sum(saved.came)) == (data, size)
        with pytest.raises(WireError, match="missing"), wire.receive(GET) as incoming:
            for chunk in incoming.chunks():
                got += chunk
        assert got == data or size < MIB
        with pytest.raises(WireError, match="missing"):
            send(wire)
        assert [way(wire) for way in (send, save, receive)] == [BODY] * 3
        # What comes of another answer is hashed with it.
        assert saved.from_wire(wire) == data + BODY
        assert saved.sink.close() == hashlib.sha256(data + BODY).hexdigest()


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
def test_a_connection_that_was_closed_meanwhile_does_no_harm(size: int) -> None:
    """As servers close connections that were idle."""

    def put(wire: Wire) -> bytes:
        return bytes(wire.send(Request("PUT", "/", {}, random_bytes(size)), MIB).body)

    with serving(Say(200, BODY, hang_up="at once")) as script:
        wire = Wire(script.url)
        for way in (put, send, save, receive) * 3:
            assert way(wire) == BODY
            assert script.closed.acquire(timeout=5)
        assert [asked.body for asked in script.asked if asked.method == "PUT"] == [random_bytes(size)] * 3


@pytest.mark.parametrize("size", [0, 10])
def test_a_connection_that_is_closed_when_it_is_used_again_does_no_harm(size: int) -> None:
    with serving(Say(200, BODY, hang_up="at the next request")) as script:
        wire = Wire(script.url)
        for _ in range(4):
            assert wire.send(Request("PUT", "/", {}, bytes(size)), MIB).body == BODY
            assert [way(wire) for way in (send, save, receive)] == [BODY] * 3
        assert [asked.body for asked in script.asked if asked.method == "PUT"] == [bytes(size)] * 4


@WAYS
def test_interim_answers_are_no_answers(way: Callable[[Wire], bytes]) -> None:
    interim = b"HTTP/1.1 100 Continue\r\nx-early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    with talking(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: e\r\n\r\nabc") as url:
        wire, saved = Wire(url), Saved()
        assert way(wire) == b"abc"
        with wire.receive(GET) as incoming:
            seen = [Reply(incoming.status, incoming.headers, bytearray())]
        saved.from_wire(wire)
        seen += [*saved.replies, wire.send(GET, 3)]
        assert {(reply.status, *sorted(reply.headers.items())) for reply in seen} == {(200, ("content-length", "3"), ("etag", "e"))}


def test_no_more_than_the_limit_is_taken() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n"
    with serving(Say(200, b"1234567890")) as script, talking(chunked) as url:
        for wire in (Wire(script.url), Wire(url)):
            assert wire.send(GET, 10).body == b"1234567890"
            with pytest.raises(WireError, match="Got invalid answer"):
                wire.send(GET, 9)
            assert wire.send(GET, 10).body == b"1234567890"


def test_a_head_tells_of_an_object_of_any_size() -> None:
    with serving(Say(200, length=5 << 40), Say(200, BODY)) as script:
        wire = Wire(script.url)
        reply = wire.send(Request("HEAD", "/", {}), 1)
        assert (reply.status, reply.headers["content-length"], bytes(reply.body)) == (200, str(5 << 40), b"")
        assert send(wire) == BODY


@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_that_trickles_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool) -> None:
    """Each byte comes in time; all of them would take minutes."""
    monkeypatch.setattr(wires, "ANSWER_SECONDS", 0.5)
    certificates = Certificates(tmp_path) if tls else None
    slow = Script([Fault(do="slow", rate=10, first=2)])
    with serving(Say(200, BODY)) as script, FaultProxy(script.url, slow, certificates=certificates) as proxy:
        wire = Wire(proxy.endpoint, ca_bundle=certificates.ca_bundle if certificates else "")
        assert wire.send(GET, 1 << 20).body == BODY
        with pytest.raises(WireError, match="timed out"):
            wire.send(GET, 1 << 20)
        assert [wire.send(GET, 1 << 20).body for _ in range(3)] == [BODY] * 3


def test_what_must_not_be_done_twice_goes_by_a_new_connection() -> None:
    """On a kept one that is found closed, libcurl sends again by itself."""
    with serving(Say(200, b"")) as script:
        wire = Wire(script.url)
        for request in (
            Request("PUT", "/x", {}, b"1"),
            Request("PUT", "/x", {}, b"2"),
            Request("PUT", "/x", {}, b"3", once=True),
            Request("POST", "/x", {}, b"4", once=True),
        ):
            wire.send(request, 100)
        connections = [asked.connection for asked in script.asked]
        assert connections[0] == connections[1]
        assert len(set(connections)) == 3


def test_headers_that_cannot_be_sent_are_refused() -> None:
    with serving(Say(200, b"")) as script:
        wire = Wire(script.url)
        for value in ("é", "a\r\nx-amz-acl: public-read"):
            with pytest.raises(WireError, match="if-match"):
                wire.send(Request("GET", "/x", {"if-match": value}), 100)
        assert script.asked == []
        assert wire.send(Request("GET", "/x", {}), 100).status == 200


def test_a_slow_stream_costs_no_time_of_the_processor() -> None:
    slow = Fault(do="slow", rate=2000, first=1)
    with serving(Say(200, bytes(1000))) as script, FaultProxy(script.url, Script([slow])) as proxy:
        used, began = time.process_time(), time.monotonic()
        with Wire(proxy.endpoint).receive(GET) as incoming:
            assert b"".join(incoming.chunks()) == bytes(1000)
        assert time.monotonic() - began > 0.3
        assert time.process_time() - used < 0.3 * (time.monotonic() - began)


def test_an_answer_that_ends_within_its_headers_is_none() -> None:
    """libcurl takes it for one without a body, and a size that was not told would be 0."""
    with talking(b"HTTP/1.1 200 OK\r\nETag: 1\r\nContent-Le") as url, pytest.raises(WireError, match="within its headers"):
        Wire(url).send(Request("HEAD", "/", {}), 100)


def test_an_answer_that_the_garbage_collector_ends_is_no_error() -> None:
    with serving(Say(200, random_bytes(3 * MIB))) as script:
        wire = Wire(script.url)
        with wire.receive(GET) as incoming:
            incoming._multi.close()  # the collector ends what it finds in no certain order
        assert receive(wire)
