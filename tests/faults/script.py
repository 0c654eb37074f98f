"""What goes wrong, and when: faults as data, from Python or from JSON. Pure."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal[
    "status",
    "reset-before",
    "reset-upload",
    "reset-after",
    "cut",
    "longer",
    "shorter",
    "html",
    "redirect",
    "black-hole",
    "silent-body",
    "slow",
    "certificate",
    "lost-answer",
    "flip",
    "list-reorder",
    "list-repeat",
    "list-token",
]
"""
status          an answer of `status`, `headers`, `body`; the server sees nothing of the request
reset-before    RST when the request's head has come; the server sees nothing of it
reset-upload    RST in the middle of the request's body; the server sees nothing of it
reset-after     RST when the answer's head has gone out, and perhaps some of its body
cut             the answer's body ends in the middle and the connection is closed, in good order
longer          the Content-Length promises `size` bytes more than come
shorter         the Content-Length promises `size` bytes less, and that is all that comes
html            status 200 and an HTML page in place of the answer
redirect        a redirect to the same address
black-hole      no answer, for ever
silent-body     the head, some bytes, and then nothing, for ever
slow            the body comes at `rate` bytes a second
certificate     RST, and the next `size` TLS handshakes show a certificate that has expired
lost-answer     the server does its work, but the client sees an RST in place of the answer
flip            one bit of the answer's body is turned over
list-reorder    a page of a listing has its objects the other way round
list-repeat     in place of a page of a listing comes the one before it
list-token      a page of a listing says that the next one is itself
"""


class Fault(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong, and for which requests."""

    do: Kind
    number: int = 0
    """Only the request of this number, from 1; 0 for any."""
    method: str = ""
    path: str = ""
    """A regular expression, searched in the request's path and query as they were sent."""
    first: int = 1
    """The first of the requests that match the above."""
    times: int = 1
    """For how many of them from then on; 0 for all."""
    share: float = 1.0
    """Of those, what part is hit."""
    status: int = 500
    headers: dict[str, str] = {}
    body: str = ""
    size: int = 1
    rate: float = 1.0


class Hit(msgspec.Struct, frozen=True):
    """What was done to a request, for messages of failed tests."""

    number: int
    method: str
    target: str
    do: str
    """A fault's kind, what a profile did, or empty where nothing went wrong."""

    def __str__(self) -> str:
        return f"{self.number:4} {self.method} {self.target[:160]}" + (f"  <- {self.do}" if self.do else "")


class Script:
    """Decides for each request what goes wrong. The same requests in the same order meet the same faults.

    Args:
        seed: of what is random.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self._faults = list(faults)
        self._seed = seed
        self._seen = [0] * len(self._faults)
        self._lock = threading.Lock()

    def random(self, number: int) -> random.Random:
        """What is random about a request."""
        return random.Random(f"{self._seed}/{number}")

    def decide(self, number: int, method: str, target: str) -> Fault | None:
        """The first fault that is meant for the request; faults behind it do not count it."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if not _matches(fault, number, method, target):
                    continue
                self._seen[index] += 1
                nth = self._seen[index] - fault.first
                if nth < 0 or (fault.times and nth >= fault.times):
                    continue
                if self.random(number).random() < fault.share:
                    return fault
        return None


def _matches(fault: Fault, number: int, method: str, target: str) -> bool:
    return (
        fault.number in (0, number)
        and fault.method in ("", method)
        and (not fault.path or re.search(fault.path, target) is not None)
    )


def s3_error(code: str, message: str = "of the fault proxy") -> str:
    """The body of an S3 service's refusal."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'


XML = {"Content-Type": "application/xml"}
PAGE = "<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>"

WAYS: dict[str, Fault] = {
    "500": Fault(do="status", status=500, headers=XML, body=s3_error("InternalError")),
    "503": Fault(do="status", status=503, headers=XML | {"Retry-After": "1"}, body=s3_error("SlowDown")),
    "429": Fault(do="status", status=429, headers=XML, body=s3_error("TooManyRequests")),
    "502 page": Fault(do="status", status=502, headers={"Content-Type": "text/html"}, body=PAGE),
    "expired": Fault(do="status", status=403, headers=XML, body=s3_error("ExpiredToken", "The provided token has expired.")),
    "404": Fault(do="status", status=404, headers=XML, body=s3_error("NoSuchKey")),
    "reset before": Fault(do="reset-before"),
    "reset in the request": Fault(do="reset-upload"),
    "reset after": Fault(do="reset-after"),
    "cut": Fault(do="cut"),
    "longer": Fault(do="longer", size=7),
    "shorter": Fault(do="shorter", size=1),
    "html": Fault(do="html"),
    "redirect": Fault(do="redirect"),
    "black hole": Fault(do="black-hole"),
    "silent body": Fault(do="silent-body"),
    "slow": Fault(do="slow"),
    "certificate": Fault(do="certificate"),
    "lost answer": Fault(do="lost-answer"),
    "flip": Fault(do="flip"),
}
"""Each way in which one request fails, as a sweep tries them: the fault without its place."""

TRANSIENT: Sequence[str] = (
    "500", "503", "429", "502 page", "reset before", "reset in the request", "reset after", "cut", "lost answer",
)  # fmt: skip
"""Those that hold nobody up for long and that another try mends: once is no reason to fail."""


def at(number: int, way: str) -> Fault:
    """One way to fail, for one request."""
    return msgspec.structs.replace(WAYS[way], number=number)
