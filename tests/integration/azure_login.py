"""What Azure's login service does for a client with a secret: it gives tokens, for a moment or for an hour."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs

from testbed.azurite import AzuriteServer
from testbed.pki import Authority


class LoginServer:
    """On loopback, with a certificate of the authority that the Azurite's is of."""

    tenant: ClassVar[str] = "11111111-2222-3333-4444-555555555555"
    client: ClassVar[str] = "datums"
    secret: ClassVar[str] = "the-client-secret"

    def __init__(self, azurite: AzuriteServer) -> None:
        Authority(azurite.place.pki).issue("login", "login", names=["IP:127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(azurite.place.pki / "login.crt", azurite.place.pki / "login.key")
        login = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                login.asked += 1
                if form.get("client_secret") != [login.secret]:
                    why = login.refusal or "AADSTS7000215: Invalid client secret provided. Ensure the secret is the value."
                    return self.answer(401, {"error": "invalid_client", "error_description": f"{why} Trace ID: 1"})
                return self.answer(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": login.token()})

            def answer(self, status: int, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                return

        self.asked = 0
        self.refusal = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def credentials(self, secret: str = "") -> dict[str, str]:
        """What a DataStore's Secret has."""
        return {
            "AZURE_TENANT_ID": self.tenant,
            "AZURE_CLIENT_ID": self.client,
            "AZURE_CLIENT_SECRET": secret or self.secret,
            "AZURE_AUTHORITY_HOST": self.url,
        }

    def token(self) -> str:
        """As Azurite wants it; it does not look at the signature."""
        now = int(time.time())
        claims = {
            "iss": f"https://sts.windows.net/{self.tenant}/",
            "aud": "https://storage.azure.com",
            "nbf": now - 60,
            "iat": now - 60,
            "exp": now + 3600,
        }
        parts = [{"alg": "RS256", "typ": "JWT"}, claims]
        return ".".join([*(_encoded(json.dumps(part).encode()) for part in parts), _encoded(b"signature")])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
