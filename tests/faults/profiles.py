"""Rules that hold for every request: what a provider does that no server on loopback does."""

from __future__ import annotations

import threading
import time

import msgspec

from tests.faults.script import XML, Fault, s3_error
from tests.faults.wire import Head


class Profile(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """How a provider differs."""

    refuse_checksums: str = ""
    """The error code of the answer to a request with one of the newer checksum headers; empty: they are taken."""
    ignore_if_none_match: bool = False
    """Whether an object is overwritten although the request says `If-None-Match: *`."""
    requests_per_second: float = 0.0
    """More are answered with 503 SlowDown; 0 for no limit."""
    burst: int = 1
    """How many may come at once after a pause."""
    latency: float = 0.0
    """Seconds before each answer."""


OVH = Profile(refuse_checksums="InvalidArgument", ignore_if_none_match=True)
ORACLE = Profile(refuse_checksums="NotImplemented", ignore_if_none_match=True)
PLAIN = Profile()
PROFILES = {"plain": PLAIN, "ovh": OVH, "oracle": ORACLE}

SLOW_DOWN = Fault(do="status", status=503, headers=XML, body=s3_error("SlowDown", "Please reduce your request rate."))
_STATUS = {"InvalidArgument": 400, "NotImplemented": 501}


def refusal(profile: Profile, head: Head) -> Fault | None:
    """How the provider refuses the request for its checksums, if it does."""
    if not profile.refuse_checksums:
        return None
    names = [name.lower() for name, _ in head.headers]
    found = [
        name for name in names if name.startswith("x-amz-checksum-") or name in ("x-amz-sdk-checksum-algorithm", "x-amz-trailer")
    ]
    if not found and "TRAILER" not in head.get("x-amz-content-sha256"):
        return None
    code = profile.refuse_checksums
    body = s3_error(code, f"Unsupported header: {', '.join(found) or 'x-amz-content-sha256'}")
    return Fault(do="status", status=_STATUS[code], headers=XML, body=body)


class TokenBucket:
    """Lets `rate` requests a second pass, `burst` of them at once.

    Safe to use from several threads.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._most = float(max(1, burst))
        self._tokens = self._most
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more may pass now."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
