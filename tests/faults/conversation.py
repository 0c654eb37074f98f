"""One client's connection to the fault proxy, and what it meets there."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tests.faults import listing
from tests.faults.script import PAGE, Fault
from tests.faults.sigv4 import signed_again
from tests.faults.wire import Broken, Head, Line, reset

if TYPE_CHECKING:
    from tests.faults.proxy import FaultProxy

_HANG_SECONDS = 0.1
_ARRIVES = 0.05
"""Seconds in which what was sent reaches a client on the same machine, before a RST makes it forget."""


class _Over(Exception):
    """Nothing more is said on this connection."""


class Conversation:
    """Requests of one connection, one after the other."""

    def __init__(self, proxy: FaultProxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._line = Line(client)
        self._server: Line | None = None
        self._last = False

    def run(self) -> None:
        """Returns when the connection is over.

        Raises:
            OSError: the client has gone.
            Broken: it does not speak HTTP/1.1.
        """
        try:
            while (head := self._line.head()) is not None:
                self._exchange(head)
        except _Over:
            pass
        finally:
            self._forget_server()

    def _exchange(self, head: Head) -> None:
        if "100-continue" in head.get("Expect").lower():
            self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = head.without("Expect")
        hit, fault = self._proxy.judge(head)
        self._proxy.watch(hit)
        if self._proxy.profile.latency:
            time.sleep(self._proxy.profile.latency)
        if fault is None:
            self._relay(head)
        else:
            self._fail(hit.number, head, fault)

    def _fail(self, number: int, head: Head, fault: Fault) -> None:
        match fault.do:
            case "reset-before":
                self._reset()
            case "certificate":
                self._proxy.expire(fault.size)
                self._reset()
            case "reset-upload":
                self._drain(head, up_to=int(head.get("Content-Length") or 0) // 2)
                self._reset()
            case "black-hole":
                self._hang()
            case "status":
                self._drain(head)
                self._answer(head, f"{fault.status} Fault", fault.headers, fault.body.encode())
            case "html":
                self._drain(head)
                self._answer(head, "200 OK", {"Content-Type": "text/html; charset=utf-8"}, PAGE.encode())
            case "redirect":
                self._drain(head)
                self._answer(head, "302 Found", {"Location": head.target}, b"")
            case "list-repeat" if (page := self._page_before(head)) is not None:
                self._drain(head)
                self._answer(head, "200 OK", {"Content-Type": "application/xml"}, page)
            case _:
                self._spoil(number, head, fault)

    def _spoil(self, number: int, head: Head, fault: Fault) -> None:
        """Lets the server do its work, and does something to the answer."""
        answer, pieces = self._ask(head)
        body = b"".join(pieces)
        if fault.do == "lost-answer":
            self._reset()
        self._remember(head, body)
        random = self._proxy.script.random(number)
        length = int(answer.get("Content-Length") or len(body)) if _bodiless(head, answer) else len(body)
        match fault.do:
            case "longer":
                length += fault.size
            case "shorter" if length >= fault.size:
                length -= fault.size
                body = body[:length]
            case "flip" if body:
                where = random.randrange(len(body))
                body = body[:where] + bytes([body[where] ^ (1 << random.randrange(8))]) + body[where + 1 :]
            case "list-reorder":
                body = listing.reordered(body)
            case "list-token":
                body = listing.pointing_at_itself(body, head.target)
                length = len(body)
        start = answer.without("Transfer-Encoding").with_header("Content-Length", str(length)).encode()
        # Somewhere in the body; of an answer without one, somewhere in the head.
        some = (start + body)[: len(start) + random.randrange(len(body)) if body else random.randrange(1, len(start))]
        match fault.do:
            case "reset-after":
                self._client.sendall(start + body[: len(body) // 2])
                time.sleep(_ARRIVES)
                self._reset()
            case "cut":
                self._client.sendall(some)
                raise _Over
            case "silent-body":
                self._client.sendall(some)
                self._hang()
            case "slow":
                self._client.sendall(start if body else start[:1])
                self._trickle(body or start[1:], fault.rate)
            case _:
                self._client.sendall(start + body)
                if fault.do in ("longer", "shorter"):
                    raise _Over

    def _relay(self, head: Head) -> None:
        answer, pieces = self._ask(head)
        if listing.is_listing(head.method, head.target):
            page = b"".join(pieces)
            self._remember(head, page)
            pieces = [page]
        self._client.sendall(answer.encode())
        chunked = "chunked" in answer.get("Transfer-Encoding").lower()
        _send(self._client, pieces, chunked=chunked and not _bodiless(head, answer))
        if self._last or not (chunked or answer.get("Content-Length") or _bodiless(head, answer)):
            raise _Over  # the body's end is the connection's

    def _ask(self, head: Head) -> tuple[Head, Iterable[bytes]]:
        """Sends a request on, and returns the answer's head, and its body as it comes."""
        asked = self._changed(head)
        server = self._connected()
        try:
            server.socket.sendall(asked.encode())
            _send(server.socket, self._line.body(head, to_the_end=False), chunked=_chunked(head))
        except BrokenPipeError:
            self._last = True  # it answers before it has read everything
        except ConnectionResetError as error:
            raise Broken("the server has gone") from error
        answer = server.head()
        while answer is not None and answer.status < 200:
            answer = server.head()
        if answer is None:
            raise Broken("the server gave no answer")
        if _bodiless(head, answer):
            return answer, ()
        return answer, server.body(answer, to_the_end=True)

    def _changed(self, head: Head) -> Head:
        if self._proxy.profile.ignore_if_none_match and head.method != "GET" and head.get("If-None-Match"):
            return signed_again(head.without("If-None-Match"), self._proxy.secrets)
        return head

    def _connected(self) -> Line:
        """A connection to the server on which nothing is waiting: neither its end nor the rest of another answer."""
        if self._server is not None and select.select([self._server.socket], [], [], 0)[0]:
            self._forget_server()
        if self._server is None:
            self._server = Line(self._proxy.connect())
        return self._server

    def _forget_server(self) -> None:
        if self._server is not None:
            self._server.socket.close()
            self._server = None

    def _remember(self, head: Head, page: bytes) -> None:
        if listing.is_listing(head.method, head.target):
            self._proxy.pages[_listing_of(head)] = page

    def _page_before(self, head: Head) -> bytes | None:
        return self._proxy.pages.get(_listing_of(head)) if "continuation-token=" in head.target else None

    def _drain(self, head: Head, up_to: int | None = None) -> None:
        got = 0
        for piece in self._line.body(head, to_the_end=False):
            got += len(piece)
            if up_to is not None and got >= up_to:
                return

    def _answer(self, head: Head, status: str, headers: dict[str, str], body: bytes) -> None:
        all_of_them = [*headers.items(), ("Content-Length", str(len(body)))]
        start = Head(f"HTTP/1.1 {status}", all_of_them).encode()
        self._client.sendall(start if head.method == "HEAD" else start + body)

    def _reset(self) -> None:
        reset(self._client)
        raise _Over

    def _hang(self) -> None:
        """Says nothing until the client gives up."""
        gone = select.poll()
        gone.register(self._client, select.POLLRDHUP)
        while not self._proxy.stopping.is_set() and not gone.poll(1000 * _HANG_SECONDS):
            pass
        raise _Over

    def _trickle(self, data: bytes, rate: float) -> None:
        for byte in data:
            if self._proxy.stopping.wait(1 / rate):
                raise _Over
            self._client.sendall(bytes([byte]))


def _send(to: socket.socket, pieces: Iterable[bytes], *, chunked: bool) -> None:
    for piece in pieces:
        if piece:
            to.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        to.sendall(b"0\r\n\r\n")


def _chunked(head: Head) -> bool:
    return "chunked" in head.get("Transfer-Encoding").lower()


def _bodiless(asked: Head, answer: Head) -> bool:
    return asked.method == "HEAD" or answer.status in (204, 304)


def _listing_of(head: Head) -> str:
    """Which listing a page belongs to: the request without its token."""
    path, _, query = head.target.partition("?")
    return f"{path}?{'&'.join(part for part in query.split('&') if not part.startswith('continuation-token='))}"
