"""The credentials of a storage account, as the Secret holds them. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

_WHERE: Final = "the Secret of spec.credentials.secretRef"
_CLIENT: Final = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
_LOGINS: Final = {
    "chinacloudapi.cn": "https://login.chinacloudapi.cn",
    "usgovcloudapi.net": "https://login.microsoftonline.us",
}
"""End of the service's host name → where its tokens come from."""


class Credential(NamedTuple):
    """One of `key`, `sas`, and `tenant`, `client` and `secret`; none of them for anonymous reads."""

    key: str = ""
    """Of the account, base64."""
    sas: str = ""
    """A shared access signature, without a question mark."""
    tenant: str = ""
    client: str = ""
    secret: str = ""
    login: str = ""
    """URL of the service that gives tokens to the client."""

    @property
    def sas_expires(self) -> float:
        """When the SAS token has had its time, in seconds since the epoch; without end where it does not say."""
        try:
            end = datetime.fromisoformat(parse_qs(self.sas).get("se", [""])[0])
        except ValueError:  # none, or only a policy of the container has it
            return float("inf")
        return (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp()


def credential_of(credentials: Mapping[str, str], endpoint: str) -> Credential:
    """The credential, of what the Secret holds.

    Args:
        endpoint: URL of the service.

    Raises:
        ValueError: there is none, or it cannot be one; says what is wrong.
    """
    known = {name: value.strip() for name, value in credentials.items()}
    if key := known.get("AZURE_STORAGE_KEY", ""):
        try:
            base64.b64decode(key, validate=True)
        except binascii.Error:
            raise ValueError(f"AZURE_STORAGE_KEY in {_WHERE} is not base64: copy the account's key again, whole") from None
        return Credential(key=key)
    if sas := known.get("AZURE_STORAGE_SAS_TOKEN", "").lstrip("?"):
        if not sas.isascii() or not sas.isprintable() or " " in sas:
            raise ValueError(f"AZURE_STORAGE_SAS_TOKEN in {_WHERE} has signs that no token has: copy it again, in one line")
        if "sig" not in parse_qs(sas):
            raise ValueError(f"AZURE_STORAGE_SAS_TOKEN in {_WHERE} has no `sig=`: copy the token again, whole and without a URL")
        return Credential(sas=sas)
    if any(known.get(name) for name in _CLIENT):
        if missing := [name for name in _CLIENT if not known.get(name)]:
            raise ValueError(f"{_WHERE} has no {' and no '.join(missing)}: a client secret needs {', '.join(_CLIENT)}")
        tenant, client, secret = (known[name] for name in _CLIENT)
        login = known.get("AZURE_AUTHORITY_HOST") or _login_of(endpoint)
        if "://" not in login:  # as Azure's SDKs write it
            login = f"https://{login}"
        return Credential(tenant=tenant, client=client, secret=secret, login=login)
    raise ValueError(
        f"{_WHERE} has no credentials of Azure: put AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN, or {', '.join(_CLIENT)} there"
    )


def _login_of(endpoint: str) -> str:
    host = urlsplit(endpoint).hostname or ""
    return next((url for end, url in _LOGINS.items() if host.endswith(end)), "https://login.microsoftonline.com")
