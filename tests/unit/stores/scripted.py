"""An HTTP server that answers with what it is told to, for what no real server answers when it is asked to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

NO_LENGTH = -2


class Asked(NamedTuple):
    """A request."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    connection: int
    """The client's port."""


class Say(NamedTuple):
    """An answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    length: int = -1
    """Content-Length; that of the body if negative, and none if it is `NO_LENGTH`."""
    hang_up: Literal["", "at once", "at the next request"] = ""
    """When the connection is closed afterwards, without having said so."""


Answer: TypeAlias = Say | Callable[[Asked], Say]


class Scripted:
    """`answers` are given one after the other, the last one for ever; `asked` is what came; `closed` counts connections."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        self.closed = threading.Semaphore(0)
        self.url = ""

    def next(self, asked: Asked) -> Say:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Say) else answer(asked)


@contextmanager
def serving(*answers: Answer) -> Iterator[Scripted]:
    """The server, on loopback."""
    script = Scripted(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        hangs_up = False

        def _answer(self) -> None:
            if self.hangs_up:
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, body, self.client_address[1])
            script.asked.append(asked)
            say = script.next(asked)
            self.send_response_only(say.status)
            for name, value in say.headers.items():
                self.send_header(name, value)
            if say.length != NO_LENGTH:
                self.send_header("Content-Length", str(len(say.body) if say.length < 0 else say.length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(say.body)
            self.hangs_up = say.hang_up == "at the next request"
            if say.length > len(say.body) or say.hang_up == "at once":
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            super().shutdown_request(request)
            script.closed.release()

        def handle_error(self, *_: object) -> None:
            pass  # a client that has hung up

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def talking(answer: bytes) -> Iterator[str]:
    """A server that answers each request with these bytes, which need not be HTTP, and hangs up; its URL. Keeps still if empty."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            kept: list[socket.socket] = []
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    break
                kept.append(client)
                if answer:
                    client.recv(1 << 16)
                    with suppress(OSError):  # perhaps it has heard enough
                        client.sendall(answer)
                    kept.pop().close()
            for client in kept:
                client.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
