"""Azure's Shared Key beside that of Azure's own SDK."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

from datums.stores.azure_signing import authorization

KEY = base64.b64encode(b"k" * 64).decode()


PUBLIC = "https://acme.blob.core.windows.net/raw"
LOCAL = "http://127.0.0.1:10000/acme/raw"


@pytest.mark.parametrize(
    ("method", "url", "query", "headers", "size"),
    [
        ("GET", f"{PUBLIC}/x", {}, {"if-match": '"0x1"'}, 0),
        ("HEAD", f"{PUBLIC}/a%20b/%C3%A9%2Bc", {"versionid": "2026-01-01T00:00:00.1Z"}, {}, 0),
        ("PUT", f"{PUBLIC}/x", {"comp": "block", "blockid": "YQ=="}, {"content-md5": "bWQ1"}, 12),
        ("PUT", f"{LOCAL}/x", {}, {"x-ms-blob-type": "BlockBlob", "content-type": "a/b", "if-none-match": "*"}, 3),
        ("GET", LOCAL, {"restype": "container", "comp": "list", "prefix": "a b/", "marker": "2!1+/="}, {}, 0),
        ("DELETE", f"{PUBLIC}/x", {}, {}, 0),
    ],
)
def test_a_request_is_signed_as_the_sdk_signs_it(
    method: str, url: str, query: dict[str, str], headers: dict[str, str], size: int
) -> None:
    every = {**headers, "x-ms-version": "2023-11-03", "x-ms-date": "Sun, 29 Nov 2026 02:45:58 GMT"}
    body: Any = {"headers": every | ({"content-length": str(size)} if size else {})}
    request = HttpRequest(method, f"{url}?{urlencode(query, quote_via=quote)}" if query else url, **body)
    theirs = PipelineRequest(request, PipelineContext(None))
    SharedKeyCredentialPolicy("acme", KEY).on_request(theirs)  # type: ignore[no-untyped-call]
    ours = authorization("acme", KEY, method, urlsplit(url).path, query, every, size)
    assert ours == request.headers["Authorization"]
