"""Tokens that a service account signs for itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.auth import jwt

from datums.stores import gcs_token
from datums.stores.gcs_key import service_account
from datums.stores.gcs_token import Token
from tests.integration.gcs_fixture import key_file


class Clock:
    now = 1_800_000_000.5

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(gcs_token, "time", clock)
    return clock


def signed() -> tuple[Token, dict[str, str]]:
    key = service_account({"service-account.json": key_file()})
    return Token(key), key


def test_a_token_is_what_googles_own_library_accepts_and_would_make(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    token, key = signed()
    scheme, _, text = token.header().partition(" ")
    assert scheme == "Bearer"
    certificate = _public(key["private_key"])
    claims: dict[str, Any] = dict(jwt.decode(text, certs=None, verify=False))  # type: ignore[no-untyped-call]
    _verify(text, certificate)
    assert claims == {
        "iss": key["client_email"], "sub": key["client_email"], "iat": 1_800_000_000, "exp": 1_800_003_600,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
    }  # fmt: skip
    header = jwt.decode_header(text)  # type: ignore[no-untyped-call]
    assert header == {"alg": "RS256", "typ": "JWT", "kid": key["private_key_id"]}


def test_a_token_is_used_until_shortly_before_its_end(clock: Clock) -> None:
    token, _ = signed()
    first = token.header()
    clock.now += 3200
    assert token.header() == first
    clock.now += 200
    assert token.header() != first


def test_a_token_of_a_clock_that_was_set_back_is_made_anew(clock: Clock) -> None:
    token, _ = signed()
    first = token.header()
    clock.now -= 86_400
    assert token.header() != first


@pytest.mark.parametrize("pem", ["hush", "", "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none_is_said_without_a_word_of_it(pem: str) -> None:
    _, key = signed()
    with pytest.raises(ValueError, match="is no RSA key in PEM form") as caught:
        Token(key | {"private_key": pem}).header()
    assert "hush" not in json.dumps([str(caught.value), str(caught.value.__cause__)])


def _public(pem: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem.encode(), None).public_key()


def _verify(text: str, public: Any) -> None:
    """Raises where the signature is another's."""
    import base64

    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    said, _, signature = text.rpartition(".")
    public.verify(base64.urlsafe_b64decode(signature + "=="), said.encode(), PKCS1v15(), SHA256())
