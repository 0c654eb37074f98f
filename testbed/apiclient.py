"""As much of the Kubernetes API as it takes to see that a control plane is ready."""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from testbed.errors import SetupError


class ApiClient:
    """GETs with the admin's certificate, read from the directory of keys."""

    def __init__(self, server: str, pki: Path, timeout: float = 5.0) -> None:
        self._server = server
        self._timeout = timeout
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        # No proxy: the API server is on this machine, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))

    def text(self, path: str) -> str | None:
        """The body of a 200 answer; None for any other and for no answer."""
        try:
            with self._opener.open(self._server + path, timeout=self._timeout) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return None

    def json(self, path: str) -> dict[str, Any] | None:
        body = self.text(path)
        return None if body is None else json.loads(body)

    def is_ready(self) -> bool:
        return self.text("/readyz") == "ok"

    def node_is_ready(self, name: str) -> bool:
        node = self.json(f"/api/v1/nodes/{name}") or {}
        conditions = node.get("status", {}).get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    def has_default_account(self) -> bool:
        return self.text("/api/v1/namespaces/default/serviceaccounts/default") is not None


def answers(url: str, authority: Path | None = None) -> bool:
    """Whether a health page of this machine says 200. `authority`: the certificate that vouches for an https page."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if authority is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(authority))))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until(
    done: Callable[[], bool], what: str, seconds: float, alive: Callable[[], None], logs: Path, pause: float = 0.05
) -> None:
    """Polls until `done`; `alive` raises when waiting has become useless."""
    deadline = time.monotonic() + seconds
    while not done():
        alive()
        if time.monotonic() > deadline:
            raise SetupError(f"{what} did not come within {seconds:.0f} s: the logs in {logs} say why")
        time.sleep(pause)
