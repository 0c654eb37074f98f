"""The login service of Azure, where it does not do what it should."""

from __future__ import annotations

import threading
from urllib.parse import parse_qs

import msgspec
import pytest

from datums.model.plan import StoreAccess
from datums.stores import azure_login, errors
from datums.stores.azure import AzureStore
from tests.unit.stores.scripted import Say, Scripted, serving, talking

GIVEN = Say(200, msgspec.json.encode({"token_type": "Bearer", "expires_in": 3600, "access_token": "given"}))
DATA = Say(200, b"data", {"ETag": '"1"'})


def store_at(storage: str, login: str, tenant: str = "our-tenant") -> AzureStore:
    access = StoreAccess(kind="azure", name="a/b", bucket="raw", account="acme", prefix="d", endpoint=storage)
    secret = {
        "AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": "us", "AZURE_CLIENT_SECRET": "s & s", "AZURE_AUTHORITY_HOST": login,
    }  # fmt: skip
    return AzureStore(access, secret)


def get(login: Scripted) -> bytes:
    with serving(DATA) as storage:
        return store_at(storage.url, login.url).get("x")


def test_a_token_is_asked_for_once_and_sent_along() -> None:
    with serving(GIVEN) as login, serving(DATA) as storage:
        store = store_at(storage.url, login.url, "our tenant/")
        assert [store.get("x"), store.get("x")] == [b"data", b"data"]
        assert [asked.headers["authorization"] for asked in storage.asked] == ["Bearer given"] * 2
        (asked,) = login.asked
        assert asked.target == "/our%20tenant%2F/oauth2/v2.0/token"
        form = parse_qs(asked.body.decode())
        assert form["client_secret"] == ["s & s"]
        assert form["scope"] == ["https://storage.azure.com/.default"]


def test_a_token_is_renewed_before_its_end() -> None:
    short = Say(200, msgspec.json.encode({"expires_in": 299, "access_token": "short"}))
    with serving(short, GIVEN) as login, serving(DATA) as storage:
        store = store_at(storage.url, login.url)
        for _ in range(3):
            store.get("x")
        sent = [asked.headers["authorization"] for asked in storage.asked]
        assert sent == ["Bearer short", "Bearer given", "Bearer given"]


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Say(503, b"", {"Retry-After": "7"}), errors.Throttled, "fewer requests"),
        (Say(500), errors.Unavailable, "could not read"),
        (Say(404, b"<html>"), errors.EndpointUnreachable, "gives the tokens for .*it answers 404"),
        (Say(403, b"blocked"), errors.EndpointUnreachable, "it answers 403"),
        (Say(302), errors.EndpointUnreachable, "it answers 302"),
        (Say(412), errors.EndpointUnreachable, "it answers 412"),
        (Say(200, b"<html>"), errors.EndpointUnreachable, "it answers 200, without a token"),
    ],
)
def test_what_is_no_token_is_no_word_about_the_object(answer: Say, kind: type[errors.StoreError], says: str) -> None:
    with serving(answer) as login:
        with pytest.raises(kind, match=says) as caught:
            get(login)
        assert type(caught.value) is kind
        assert getattr(caught.value, "retry_after", 7) == 7


def test_a_login_service_that_is_not_there_is_told_with_what_to_correct() -> None:
    for url, says in [("http://127.0.0.1:9", "refused"), ("http://no-such-host.invalid", "lookup")]:
        with pytest.raises(errors.EndpointUnreachable, match=rf"(?i){says}.*AZURE_AUTHORITY_HOST"):
            store_at("http://127.0.0.1:9", url).get("x")


def test_a_login_service_without_a_scheme_is_https() -> None:
    with talking(b"no TLS") as url, pytest.raises(errors.EndpointUnreachable, match=r"https://127\.0\.0\.1:"):
        store_at("http://127.0.0.1:9", url.removeprefix("http://")).get("x")


def test_who_waits_for_a_token_that_does_not_come_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_login, "_FAILED_SECONDS", 60.0)
    said = list[str]()
    with serving(Say(500)) as login, serving(DATA) as storage:
        store = store_at(storage.url, login.url)

        def read() -> None:
            try:
                store.get("x")
            except errors.Unavailable as error:
                said.append(str(error))

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(said) == 8
        assert len(login.asked) == 1
        monkeypatch.setattr(azure_login, "_FAILED_SECONDS", 0.0)
        login.answers = [GIVEN]
        assert store.get("x") == b"data"
