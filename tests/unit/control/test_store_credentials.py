"""What is in the Secrets of DataStores, and what is wrong with it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from datums.api.reasons import StoreNotReady
from datums.control import logs
from datums.control.store_credentials import StoreSetupError, credentials_of, secrets_in, value_of
from tests.unit.control.stores_kit import store

Obj = dict[str, Any]
PEM = "-----BEGIN PRIVATE KEY-----\nMIIcanaryONE\nMIIcanaryTWO\n-----END PRIVATE KEY-----\n"
KEY_FILE = json.dumps({"type": "service_account", "client_email": "d@p.iam.example.com", "private_key": PEM})
CLIENT = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": "client-secret"}


def secret(values: dict[str, str] | None = None, **data: str) -> Obj:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in (data | (values or {})).items()}
    return {"kind": "Secret", "metadata": {"namespace": "platform", "name": "keys"}, "data": encoded}


@pytest.mark.parametrize("kind", ["s3", "ovh", "oracle"])
def test_credentials_are_the_keys_of_the_providers_tools(kind: str) -> None:
    given = secret(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="key\n", AWS_SESSION_TOKEN="t", AWS_REGION="r", note="ours")
    assert credentials_of(store(kind=kind), given) == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_SESSION_TOKEN": "t",
    }


def test_the_key_file_of_a_service_account() -> None:
    given = secret({"service-account.json": KEY_FILE, "AWS_ACCESS_KEY_ID": "id"})
    assert credentials_of(store(kind="gcs"), given) == {"service-account.json": KEY_FILE}


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"AZURE_STORAGE_KEY": "a2V5"}, {"AZURE_STORAGE_KEY": "a2V5"}),
        ({"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=x"}, {"AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=x"}),
        (CLIENT, CLIENT),
        (CLIENT | {"AZURE_AUTHORITY_HOST": "https://login"}, CLIENT | {"AZURE_AUTHORITY_HOST": "https://login"}),
        ({"AZURE_STORAGE_KEY": "a2V5", "AZURE_AUTHORITY_HOST": "https://login"}, {"AZURE_STORAGE_KEY": "a2V5"}),
        (CLIENT | {"AZURE_STORAGE_SAS_TOKEN": "sig=x", "AZURE_STORAGE_KEY": ""}, {"AZURE_STORAGE_SAS_TOKEN": "sig=x"}),
        (CLIENT | {"AZURE_STORAGE_KEY": "a2V5"}, {"AZURE_STORAGE_KEY": "a2V5"}),
    ],
)
def test_the_first_way_that_is_complete_opens_azure(given: dict[str, str], used: dict[str, str]) -> None:
    assert credentials_of(store(kind="azure"), secret(given)) == used


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("s3", secret(AWS_ACCESS_KEY_ID="id"), "has no key AWS_SECRET_ACCESS_KEY, which DataStore platform/ml needs: add it"),
        ("s3", secret(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY=""), "has no key AWS_SECRET_ACCESS_KEY"),
        ("ovh", {**secret(), "data": None}, "has no key AWS_ACCESS_KEY_ID"),
        ("gcs", secret(AWS_ACCESS_KEY_ID="id"), "has no key service-account.json"),
        ("gcs", secret({"service-account.json": "canary: 1"}), "platform/ml refers to, is not JSON"),
        ("gcs", secret({"service-account.json": '{"client_email": "canary"}'}), "is no key file .*`private_key`"),
        ("gcs", secret({"service-account.json": '["canary"]'}), "is no key file of a service account"),
        (
            "azure",
            secret(),
            "no credential for Azure: add AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN, or all",
        ),
        ("azure", secret(AZURE_CLIENT_ID="canary"), "has no key AZURE_TENANT_ID and AZURE_CLIENT_SECRET, which DataStore"),
        ("azure", secret(AZURE_STORAGE_KEY="canary!"), "key AZURE_STORAGE_KEY of Secret platform/keys.* which is base64"),
        ("azure", secret(AZURE_STORAGE_SAS_TOKEN="sv=canary"), "is no shared access signature"),
    ],
)
def test_what_is_missing_or_unfit_is_named_without_showing_it(kind: str, given: Obj, told: str) -> None:
    with pytest.raises(StoreSetupError, match=told) as error:
        credentials_of(store(kind=kind), given)
    assert error.value.reason == StoreNotReady.SECRET_KEY_MISSING
    assert "Secret platform/keys" in str(error.value)
    assert "canary" not in str(error.value)


def test_a_value_that_is_no_text_is_refused_without_showing_it() -> None:
    given = {**secret(AWS_ACCESS_KEY_ID="id"), "data": {"AWS_ACCESS_KEY_ID": base64.b64encode(b"\xff\xfe").decode()}}
    with pytest.raises(StoreSetupError, match=r"key AWS_ACCESS_KEY_ID of Secret platform/keys.* is not text"):
        credentials_of(store(), given)


def test_values_of_config_maps_are_not_encoded() -> None:
    holder = {"metadata": {"namespace": "platform", "name": "ca"}, "data": {"ca.crt": "PEM"}}
    assert value_of("ConfigMap", holder, "ca.crt", store()) == "PEM"
    with pytest.raises(StoreSetupError, match="ConfigMap platform/ca has no key other"):
        value_of("ConfigMap", holder, "other", store())


@pytest.mark.parametrize(
    "written", [PEM, json.dumps(PEM), repr({"private_key": PEM}), json.dumps({"message": json.dumps(KEY_FILE)})]
)
def test_a_private_key_is_struck_from_logs_however_it_is_written(written: str) -> None:
    logs.strike(secrets_in({"service-account.json": KEY_FILE}))
    assert "canary" not in logs.redacted(written)
    assert logs.redacted("d@p.iam.example.com may not write") == "d@p.iam.example.com may not write"


def test_what_is_secret_of_azure() -> None:
    assert set(secrets_in(CLIENT)) == {"client-secret"}
    assert set(secrets_in({"AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=canary"})) == {"sv=1&sig=canary", "canary"}
    assert "canary" not in logs.redacted("GET https://acme.blob.core.windows.net/c/k?sv=1&sig=canary%2B&se=2 failed")
