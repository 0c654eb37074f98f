"""What the API server answers when it refuses.

KubeError
 ├ NotFound          404
 ├ AlreadyExists     409 on create
 ├ Conflict          409: the object changed, a precondition failed, or another field manager owns a field
 ├ Expired           410: the list or watch can no longer be continued
 ├ Invalid           422: the object breaks its schema, a CEL rule or an admission rule; the message says which
 ├ Unauthorized      401
 ├ Forbidden         403: RBAC, a quota or a Pod Security level; the message says which
 ├ TooManyRequests   429, after the retries
 └ Unavailable       5xx, no connection or no answer in time (status 0), after the retries
"""

from __future__ import annotations

from typing import Any

import msgspec


class KubeError(Exception):
    """A request that the API server did not grant."""

    def __init__(self, status: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 when there was no answer."""
        self.reason = reason
        """The API server's own word for it, such as `NotFound`."""
        self.message = message
        self.details = details or {}

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.reason})" if self.status else self.message


class NotFound(KubeError):
    """There is no such object, or the kind is not installed."""


class AlreadyExists(KubeError):
    """There is an object of that name."""


class Conflict(KubeError):
    """The object is not as the request expects it: read it again."""


class Expired(KubeError):
    """A list took too long to be continued: start again."""


class Invalid(KubeError):
    """The object is refused for what it says; asking again is of no use."""


class Unauthorized(KubeError):
    """The credentials are not accepted."""


class Forbidden(KubeError):
    """The request is known and not allowed."""


class TooManyRequests(KubeError):
    """The API server asks to come back later."""


class Unavailable(KubeError):
    """The API server, or the way to it, is not working."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    422: Invalid,
    429: TooManyRequests,
}


def error_of(status: int, body: bytes, what: str) -> KubeError:
    """The typed error of an answer.

    Args:
        status: HTTP status, 400 or more; 0 when there was no answer.
        body: a `Status` object as JSON, or whatever a proxy in between wrote.
        what: verb and object, for the message.
    """
    try:
        told: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        told = None
    if not isinstance(told, dict):
        told = {"message": body[:512].decode("utf-8", "replace").strip()}
    reason = str(told.get("reason") or "")
    kind: type[KubeError] = _BY_STATUS.get(status, Unavailable if status >= 500 or status == 0 else KubeError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    message = str(told.get("message") or "no message")
    details = told.get("details")
    return kind(status, reason or kind.__name__, f"{what}: {message}", details if isinstance(details, dict) else None)
