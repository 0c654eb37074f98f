"""What the Secret of a storage account may hold."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from datums.stores.azure_key import Credential, credential_of

ENDPOINT = "https://acme.blob.core.windows.net"
CLIENT = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
PUBLIC = "https://login.microsoftonline.com"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"AZURE_STORAGE_KEY": "a2V5\n"}, Credential(key="a2V5")),
        ({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x%3D\n"}, Credential(sas="sv=1&sig=x%3D")),
        (CLIENT, Credential(tenant="t", client="c", secret="s", login=PUBLIC)),
        (CLIENT | {"AZURE_AUTHORITY_HOST": "https://login"}, Credential(tenant="t", client="c", secret="s", login="https://login")),
        (CLIENT | {"AZURE_STORAGE_KEY": "a2V5"}, Credential(key="a2V5")),
    ],
)
def test_credentials_are_read(given: dict[str, str], expected: Credential) -> None:
    assert credential_of(given, ENDPOINT) == expected


@pytest.mark.parametrize(
    ("endpoint", "login"),
    [
        (ENDPOINT, PUBLIC),
        ("https://acme.blob.core.chinacloudapi.cn", "https://login.chinacloudapi.cn"),
        ("https://acme.blob.core.usgovcloudapi.net", "https://login.microsoftonline.us"),
        ("http://127.0.0.1:10000/acme", PUBLIC),
    ],
)
def test_a_cloud_has_a_login_service_of_its_own(endpoint: str, login: str) -> None:
    assert credential_of(CLIENT, endpoint).login == login


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "has no credentials of Azure: put AZURE_STORAGE_KEY"),
        ({"AZURE_STORAGE_KEY": " "}, "has no credentials"),
        ({"AZURE_STORAGE_KEY": "hush!"}, "AZURE_STORAGE_KEY in the Secret of spec.credentials.secretRef is not base64"),
        ({"AZURE_STORAGE_SAS_TOKEN": "https://acme/?sv=hush"}, "has no `sig=`"),
        ({"AZURE_CLIENT_ID": "hush"}, "has no AZURE_TENANT_ID and no AZURE_CLIENT_SECRET"),
    ],
)
def test_what_is_wrong_is_said_without_a_secret(given: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        credential_of(given, ENDPOINT)
    assert says in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("sas", "expires"),
    [
        ("sig=x&se=2026-11-24T12%3A00%3A00Z", datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()),
        ("sig=x&se=2026-11-24", datetime(2026, 11, 24, tzinfo=UTC).timestamp()),
        ("sig=x", float("inf")),
        ("sig=x&se=soon", float("inf")),
    ],
)
def test_a_sas_token_says_when_it_ends(sas: str, expires: float) -> None:
    assert Credential(sas=sas).sas_expires == expires
