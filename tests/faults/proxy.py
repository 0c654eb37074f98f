"""The fault proxy: an HTTP/1.1 proxy in front of one real server, which does to each request what a script says.

    with FaultProxy("http://127.0.0.1:8333", Script([at(3, "cut")])) as proxy:
        … a client that talks to proxy.endpoint …
        print(proxy.story())

The client's Host header goes on to the server, so a signature that the client made for the proxy's address stays good.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.faults.certificates import Certificates
from tests.faults.conversation import Conversation
from tests.faults.profiles import PLAIN, SLOW_DOWN, Profile, TokenBucket, refusal
from tests.faults.script import Fault, Hit, Script
from tests.faults.wire import Broken, Head


class FaultProxy:
    """Listens from the beginning; serves while it is entered, in threads of its own.

    Args:
        upstream: the real server, `http://host:port`.
        secrets: access key id → secret access key: needed where a profile changes headers that are signed.
        certificates: serve https with these; None for http.
        port: to listen on; 0 for any.
    """

    def __init__(
        self,
        upstream: str,
        script: Script | None = None,
        *,
        profile: Profile = PLAIN,
        secrets: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
        port: int = 0,
    ) -> None:
        url = urlsplit(upstream)
        if url.scheme != "http" or url.hostname is None:
            raise ValueError(f"the upstream is http://host:port, not {upstream!r}")
        self.upstream = (url.hostname, url.port or 80)
        self.script = script or Script()
        self.profile = profile
        self.secrets = secrets or {}
        self.watch: Callable[[Hit], None] = lambda hit: None
        """Called with each request before it goes on, from any thread: what a test does in just that moment."""
        self.stopping = threading.Event()
        self.hits: list[Hit] = []
        self.pages: dict[str, bytes] = {}
        """The last page of each listing, for `list-repeat`."""
        self._certificates = certificates
        self._expired_handshakes = 0
        self._bucket = TokenBucket(profile.requests_per_second, profile.burst) if profile.requests_per_second else None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"{'https' if certificates else 'http'}://127.0.0.1:{self.port}"

    def lift(self) -> None:
        """From now on the script does nothing; what hangs, hangs on."""
        self.script = Script()

    def story(self) -> str:
        """What came and what was done to it, a line a request."""
        return "\n".join(map(str, self.hits))

    @property
    def faults(self) -> list[Hit]:
        """The requests that something was done to."""
        return [hit for hit in self.hits if hit.do]

    def judge(self, head: Head) -> tuple[Hit, Fault | None]:
        """Numbers a request, and says what goes wrong with it."""
        with self._lock:
            number = len(self.hits) + 1
            fault = refusal(self.profile, head)
            do = f"{self.profile.refuse_checksums}: checksums" if fault else ""
            if fault is None and self._bucket is not None and not self._bucket.take():
                fault, do = SLOW_DOWN, "SlowDown"
            if fault is None and (fault := self.script.decide(number, head.method, head.target)):
                do = f"{fault.do} {fault.status}" if fault.do == "status" else fault.do
            hit = Hit(number, head.method, head.target, do)
            self.hits.append(hit)
        return hit, fault

    def expire(self, handshakes: int) -> None:
        """The next handshakes show a certificate whose time is over."""
        with self._lock:
            self._expired_handshakes += handshakes

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends everything, also what hangs."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        with self._lock:
            held = list(self._open)
            threads = list(self._threads)
        for connection in held:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)

    def connect(self) -> socket.socket:
        """A connection to the real server."""
        connection = socket.create_connection(self.upstream, timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _start(self, work: Callable[..., None], *args: object) -> None:
        def run() -> None:
            try:
                work(*args)
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="fault-proxy", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, raw: socket.socket) -> None:
        with self._lock:
            self._open.add(raw)
        connection = raw
        try:
            if self.stopping.is_set():
                return
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._certificates is not None:
                connection = self._context().wrap_socket(raw, server_side=True)
                with self._lock:
                    self._open = (self._open - {raw}) | {connection}
            Conversation(self, connection).run()
        except (OSError, Broken, ValueError):
            pass  # the client went away, or speaks something else
        finally:
            with self._lock:
                self._open -= {raw, connection}
            connection.close()

    def _context(self) -> ssl.SSLContext:
        assert self._certificates is not None
        with self._lock:
            if self._expired_handshakes:
                self._expired_handshakes -= 1
                return self._certificates.expired
        return self._certificates.good
