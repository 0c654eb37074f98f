"""The key file of a service account, as the Secret holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

KEY: Final = "service-account.json"
_FIELDS: Final = ("private_key_id", "private_key", "client_email")
_SECRET: Final = f"{KEY} in the Secret of spec.credentials.secretRef"


def service_account(credentials: Mapping[str, str]) -> dict[str, str]:
    """The key file of a service account, of what the Secret holds.

    Raises:
        ValueError: it is none; says what is wrong.
    """
    text = credentials.get(KEY, "")
    if not text:
        raise ValueError(f"the Secret of spec.credentials.secretRef has no key {KEY}")
    try:
        known = json.loads(text)
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ValueError(f"{_SECRET} is no JSON object")
    if known.get("type") != "service_account":
        raise ValueError(f"{_SECRET} is of type {known.get('type')!r}, not 'service_account'")
    for name in ("client_email", "private_key"):
        if not isinstance(known.get(name), str) or not known[name]:
            raise ValueError(f"{_SECRET} has no {name}")
    return {"private_key_id": "", **{name: str(known[name]) for name in _FIELDS if name in known}}
