"""What a service account signs for itself: a token that Google's storage takes without another service being asked.

Source: developers.google.com/identity/protocols/oauth2/service-account#jwt-auth, RFC 7519. Not by google-auth, which takes longer
to import than a small transfer takes.
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
"""What the account may do is IAM's to say. Known to work without an audience, by which storage takes no token."""
_SECONDS: Final = 3600
"""The most that Google allows."""
_BEFORE_ITS_END: Final = 300


class Token:
    """Of one service account. Safe to use from several threads.

    Args:
        key: the service account's key file, parsed.
    """

    def __init__(self, key: Mapping[str, str]) -> None:
        self._account = key
        self._lock = Lock()
        self._key: RSAPrivateKey | None = None
        self._header = ""
        self._until = 0.0

    def header(self) -> str:
        """What the header `Authorization` is to say.

        Raises:
            ValueError: the private key is none.
        """
        with self._lock:
            # Before its time, too: where the clock was set back.
            if not self._until - _SECONDS <= time.time() < self._until - _BEFORE_ITS_END:
                now = int(time.time())
                self._header, self._until = f"Bearer {self._signed(now)}", now + _SECONDS
            return self._header

    def _signed(self, now: int) -> str:
        # Here, for it costs 40 ms to import, and anonymous stores need none of it.
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        who = self._account["client_email"]
        claims = {"iss": who, "sub": who, "scope": _SCOPE, "iat": now, "exp": now + _SECONDS}
        said = f"{_encoded({'alg': 'RS256', 'typ': 'JWT', 'kid': self._account['private_key_id']})}.{_encoded(claims)}"
        self._key = self._key or _read(self._account["private_key"])
        return f"{said}.{_base64(self._key.sign(said.encode(), PKCS1v15(), SHA256()))}"


def _read(pem: str) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        # Whether its numbers are those of a key is not worth 60 ms: with others, Google refuses the signature.
        key = load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        # `from None` and no word of the cause: it may quote the key.
        raise ValueError("is no RSA key in PEM form") from None
    return key


def _encoded(part: Mapping[str, object]) -> str:
    return _base64(json.dumps(part, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
