"""Azure's Shared Key. Pure: the time is in the headers.

Source: learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Final

_PLACED: Final = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since",
    "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip
"""Headers whose values are signed by their place."""


def authorization(
    account: str, key: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], size: int
) -> str:
    """The header `Authorization`.

    Args:
        key: of the account, base64.
        path: percent-encoded, as it will be sent.
        query: names in lower case, not encoded.
        headers: all that are signed, names in lower case.
        size: of the body, in bytes.
    """
    known = {**headers, "content-length": str(size) if size else ""}
    placed = "\n".join([known.get(name, "") for name in _PLACED])
    named = "".join([f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-ms-")])
    asked = "".join([f"\n{name}:{value}" for name, value in sorted(query.items())])
    text = f"{method}\n{placed}\n{named}/{account}{path}{asked}"
    signature = b64encode(hmac.digest(b64decode(key), text.encode(), "sha256")).decode()
    return f"SharedKey {account}:{signature}"
