"""Serves user code on the loopback interface: `set_status_detail` of the container contract."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import socket
from threading import Thread
from typing import Any

import msgspec

_MAX_BODY_BYTES = 64 << 10
_MAX_DETAIL_CHARACTERS = 1024
_TIMEOUT_SECONDS = 2.0


class _StatusDetail(msgspec.Struct):
    status_detail: str


class LocalAgent:
    """The server: one request at a time, so that user code cannot make it use more than a little.

    Args:
        door: listens; what has knocked before this is made is served as well.
        path: of `set_status_detail`.
        on_detail: called with every text that is posted, cut to 1,024 characters.
    """

    def __init__(self, door: socket, path: str, on_detail: Callable[[str], None]) -> None:
        class Handler(_Handler):
            agent_path = path
            agent_on_detail = staticmethod(on_detail)

        self._server = HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = door
        Thread(target=self._server.serve_forever, name="local-agent", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = _TIMEOUT_SECONDS
    agent_path: str
    agent_on_detail: Callable[[str], None]

    def do_POST(self) -> None:
        if self.path.partition("?")[0] != self.agent_path:
            return self._answer(404, "there is no such call here; /valohai/config/api.json names the ones there are")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            return self._answer(413, f"send a body of at most {_MAX_BODY_BYTES} bytes, with its Content-Length")
        try:
            detail = msgspec.json.decode(self.rfile.read(int(length)), type=_StatusDetail).status_detail
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._answer(400, 'send {"status_detail": "<text>"}')
        self.agent_on_detail(detail[:_MAX_DETAIL_CHARACTERS])
        return self._answer(200, "")

    def _answer(self, status: int, message: str) -> None:
        body = msgspec.json.encode({"message": message} if message else {})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: user code's calls do not belong in the log of `ship`."""
