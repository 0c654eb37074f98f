"""Tokens for a client with a secret, from the login service of its tenant.

Source: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow. Not by azure-identity, which takes longer to
import than a small transfer takes.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from datums.model.plan import StoreAccess
from datums.stores.answers import Answer
from datums.stores.azure_codes import refuse_client
from datums.stores.azure_key import Credential
from datums.stores.wire import Request, Wire, WireError

_SCOPE: Final = "https://storage.azure.com/.default"
_MOST: Final = 1 << 20
_BEFORE_ITS_END: Final = 300.0
"""Seconds."""
_FAILED_SECONDS: Final = 2.0


class LoginUnreachable(Exception):
    """The login service has not answered as one does; says what came instead."""


class LoginRefused(Exception):
    """It gives no token.

    Attributes:
        answer: as the errors of the storage service are told.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.code)
        self.answer = answer


class _Given(msgspec.Struct):
    access_token: str
    expires_in: float


class Login:
    """Of one client. Safe to use from several threads."""

    def __init__(self, access: StoreAccess, credential: Credential) -> None:
        self._wire = Wire(credential.login, ca_bundle=access.ca_bundle, proxy=access.proxy)
        self._target = f"{urlsplit(credential.login).path.rstrip('/')}/{quote(credential.tenant, safe='')}/oauth2/v2.0/token"
        self._form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": credential.client,
                "client_secret": credential.secret,
                "scope": _SCOPE,
            }
        ).encode()
        self._lock = Lock()
        self._header = ""
        self._until = 0.0
        self._failure: LoginUnreachable | LoginRefused | None = None
        self._failed_at = 0.0

    def header(self) -> str:
        """What the header `Authorization` is to say.

        Raises:
            LoginUnreachable
            LoginRefused
        """
        with self._lock:
            if time.monotonic() >= self._until - _BEFORE_ITS_END:
                # Who has waited for the lock meanwhile need not wait for the same once more, one after the other.
                if self._failure is not None and time.monotonic() < self._failed_at + _FAILED_SECONDS:
                    raise self._failure.with_traceback(None)
                try:
                    given = self._ask()
                except (LoginUnreachable, LoginRefused) as error:
                    self._failure, self._failed_at = error, time.monotonic()
                    raise
                self._header, self._until = f"Bearer {given.access_token}", time.monotonic() + given.expires_in
            return self._header

    def _ask(self) -> _Given:
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        try:
            reply = self._wire.send(Request("POST", self._target, headers, self._form), _MOST)
        except WireError as error:
            raise LoginUnreachable(str(error)) from None
        if reply.status in (400, 401, 429) or reply.status >= 500:
            raise LoginRefused(refuse_client(reply.status, reply.body.decode("utf-8", "replace"), reply.retry_after))
        try:
            if reply.status == 200:
                return msgspec.json.decode(reply.body, type=_Given)
        except msgspec.MsgspecError:
            pass
        raise LoginUnreachable(f"it answers {reply.status}, without a token")
