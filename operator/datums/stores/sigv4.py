"""AWS Signature Version 4. Pure: the time is an argument.

Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from typing_extensions import Buffer

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""Instead of the body's digest: the signature does not cover the body."""


_OF_NOTHING: Final = hashlib.sha256().hexdigest()


class Signer(NamedTuple):
    """Whose requests, and for which region."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    region: str


def query_string(query: Mapping[str, str]) -> str:
    """The query as it is signed and must be sent: sorted, and encoded as RFC 3986 says."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))


def key_path(key: str) -> str:
    """A key as part of a path, as it is signed and must be sent."""
    return quote(key, safe="/~")


def digest(body: Buffer) -> str:
    """The body's digest, for `headers`."""
    if not body:
        return _OF_NOTHING
    return hashlib.sha256(body).hexdigest()


def headers(
    signer: Signer,
    method: str,
    host: str,
    path: str,
    query: str,
    now: datetime,
    *,
    payload: str,
    others: Mapping[str, str],
) -> dict[str, str]:
    """All headers of a signed request but Host.

    Args:
        host: as the Host header will be, with the port unless it is the scheme's own.
        path: percent-encoded, as it will be sent.
        query: from `query_string`.
        now: in UTC.
        payload: from `digest`, or `UNSIGNED`.
        others: further headers, which are signed as well; names in lower case.
    """
    stamp = _stamp(now.replace(microsecond=0))
    day = stamp[:8]
    signed = {**others, "host": host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    if signer.session_token:
        signed["x-amz-security-token"] = signer.session_token
    ordered = sorted(signed.items())
    names = ";".join([name for name, _ in ordered])
    lines = "".join([f"{name}:{value}\n" for name, value in ordered])
    request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
    scope = f"{day}/{signer.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.digest(_key(signer.secret_access_key, day, signer.region), text.encode(), "sha256").hex()
    del signed["host"]  # the HTTP client writes it
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed


@lru_cache(maxsize=16)
def _key(secret_access_key: str, day: str, region: str) -> bytes:
    """What signs every request of a day."""
    key = b"AWS4" + secret_access_key.encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=4)
def _stamp(now: datetime) -> str:
    """The time of all requests of a second."""
    return now.strftime("%Y%m%dT%H%M%SZ")
