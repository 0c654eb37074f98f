"""Signing a request anew after the proxy has changed its headers (AWS Signature Version 4). Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

from tests.faults.wire import Head

_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d+)/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+)")


def signed_again(head: Head, secrets: Mapping[str, str]) -> Head:
    """The request with a signature for the headers that it has now; unchanged when it bears none.

    Args:
        secrets: access key id → secret access key.
    """
    match = _AUTHORIZATION.match(head.get("Authorization"))
    if match is None:
        return head
    key, day, region, service, names = match.groups()
    signed = [name for name in names.split(";") if name == "host" or head.get(name)]
    path, _, query = head.target.partition("?")
    canonical = "\n".join([
        head.method, path, "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&") if part)),
        *(f"{name}:{' '.join(head.get(name).split())}" for name in signed), "", ";".join(signed),
        head.get("x-amz-content-sha256"),
    ])  # fmt: skip
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{head.get('x-amz-date')}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"AWS4{secrets[key]}".encode()
    for part in (day, region, service, "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.new(secret, text.encode(), "sha256").hexdigest()
    value = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(signed)}, Signature={signature}"
    return head.with_header("Authorization", value)
