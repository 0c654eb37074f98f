"""Azure Blob Storage on loopback for tests: Azurite.

`with AzuriteServer() as server:` gives `server.endpoint` (with the account, as Azurite wants it), `server.account`, `server.key`.
"""

import base64
import secrets
import shutil
import socket
from typing import ClassVar

from testbed.loopback import LoopbackServer
from testbed.machine import free_ports
from testbed.npm import AZURITE
from testbed.processes import Command


class AzuriteServer(LoopbackServer):
    """One account with one key. With `tls` it also takes bearer tokens: it looks at their claims, not at their signature."""

    name: ClassVar[str] = "azurite"
    account: ClassVar[str] = "acme"

    def __init__(self, *, tls: bool = False, host: str = "127.0.0.1") -> None:
        super().__init__(free_ports(1)[0], tls=tls, host=host)
        self.key = base64.b64encode(secrets.token_bytes(64)).decode()
        self.endpoint = f"{self.endpoint}/{self.account}"

    def command(self) -> Command:
        over_tls = ["--cert", str(self.certificate), "--key", str(self.private_key), "--oauth", "basic"] if self.tls else []
        return Command(self.name, [
            shutil.which("env") or "/usr/bin/env", f"AZURITE_ACCOUNTS={self.account}:{self.key}",
            "node", str(AZURITE.path()), "--silent", "--disableTelemetry", "--skipApiVersionCheck",
            "--location", str(self.place.data), "--blobHost", self.host, "--blobPort", str(self.port), *over_tls,
        ])  # fmt: skip

    def is_up(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0
