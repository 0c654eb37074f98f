"""AWS Signature Version 4. Pure: the time is an argument.

Only for the calls that obstore has no form for; source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from typing_extensions import Buffer

UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""Instead of the body's digest: the signature does not cover the body."""


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
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    signed = {**others, "host": host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    if signer.session_token:
        signed["x-amz-security-token"] = signer.session_token
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
    scope = f"{day}/{signer.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + signer.secret_access_key.encode()
    for part in (day, signer.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed.pop("host")  # the HTTP client writes it
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signed
