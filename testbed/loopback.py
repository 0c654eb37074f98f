"""What the servers on loopback have in common: a directory of their own, one process, an end when their test run ends."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed import orphans
from testbed.apiclient import wait_until
from testbed.layout import HOME, Place
from testbed.pki import Authority
from testbed.processes import Command, Process


class LoopbackServer:
    """A server of its own with its own data: `with Server() as server:` gives `server.endpoint`.

    `tls`: it speaks TLS, with a certificate for `127.0.0.1` and `localhost` of the authority `ca_bundle` (PEM).
    `host`: another address of this machine to listen on, such as one that pods reach.
    """

    name: str
    """Of the process, its log and the directory in `.testbed`."""

    def __init__(self, port: int, *, tls: bool = False, host: str = "127.0.0.1") -> None:
        (HOME / self.name).mkdir(parents=True, exist_ok=True)
        self.place = Place(Path(tempfile.mkdtemp(dir=HOME / self.name)).resolve())
        self.port = port
        self.tls = tls
        self.host = host
        self.endpoint = f"{'https' if tls else 'http'}://{host}:{port}"
        self.ca_bundle = ""

    def command(self) -> Command:
        """How to start it."""
        raise NotImplementedError

    def is_up(self) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    @property
    def authority(self) -> Path:
        return self.place.pki / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.place.pki / "server.crt"

    @property
    def private_key(self) -> Path:
        return self.place.pki / "server.key"

    def start(self, owner: int | None = None) -> None:
        """Starts, and waits until it serves. `owner`: the process that it shall not outlive."""
        orphans.end_abandoned()
        self.place.create()
        if self.tls:
            authority = Authority(self.place.pki)
            authority.create()
            authority.issue("server", self.name, names=["IP:127.0.0.1", "DNS:localhost"])
            self.ca_bundle = authority.certificate.read_text()
        orphans.adopt(self.place, owner)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.stop)
            self._process.start(self.command())
            wait_until(self.is_up, self.name, 60, self._process.check_alive, logs=self.place.logs)
            on_failure.pop_all()

    def stop(self) -> None:
        """Kills the server; its data is thrown away."""
        orphans.end(self.place, patience=0.0)
        shutil.rmtree(self.place.root, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start(owner=os.getpid())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    @property
    def _process(self) -> Process:
        return Process(self.name, self.place.processes, self.place.logs)
