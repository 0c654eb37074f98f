"""Ways to a service: proxies, certificates, and what is said where there is no way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores import wire_exchange as wires
from datums.stores.answers import Answer, classify, target_of
from datums.stores.s3_codes import S3_CODES
from datums.stores.wire import Request, Wire, WireError
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.unit.stores.scripted import Say, Scripted, serving, talking

GET = Request("GET", "/x", {})
ELSEWHERE = "http://no-such-host.invalid"


def error_of(wire: Wire) -> errors.StoreError:
    """What a request that gets no answer is said to have met."""
    with pytest.raises(WireError) as caught:
        wire.send(GET, 1 << 20)
    target = target_of(StoreAccess(name="a/b", bucket="raw", prefix="d", endpoint="http://here"))
    return classify(Answer(network=str(caught.value)), target, "read", S3_CODES)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def script() -> Iterator[Scripted]:
    with serving(Say(200, b"here")) as script:
        yield script


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_is_used(script: Scripted, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, script.url)
    assert Wire(ELSEWHERE).send(GET, 100).body == b"here"
    assert [(asked.target, asked.headers["host"]) for asked in script.asked] == [(f"{ELSEWHERE}/x", "no-such-host.invalid")]


@pytest.mark.parametrize("others", ["127.0.0.1", "a.example,127.0.0.1", "*"])
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_the_environments_exceptions_are_kept(script: Scripted, monkeypatch: pytest.MonkeyPatch, name: str, others: str) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv(name, others)
    assert Wire(script.url).send(GET, 100).body == b"here"
    assert [asked.target for asked in script.asked] == ["/x"]


def test_a_proxy_that_is_named_is_used_whatever_the_environment_says(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "*")
    assert Wire(ELSEWHERE, proxy=script.url).send(GET, 100).body == b"here"
    assert script.asked[0].target == f"{ELSEWHERE}/x"


def test_a_proxy_that_gives_no_way(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", script.url)  # it knows no CONNECT
    error = error_of(Wire("https://no-such-host.invalid"))
    assert type(error) is errors.EndpointUnreachable
    assert "the proxy gives no way to http://here (501): check spec.s3.proxyURL" in str(error)


def test_a_certificate_is_trusted_by_the_bundle_only(script: Scripted, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, others = Certificates(tmp_path), Certificates(tmp_path / "other")
    with FaultProxy(script.url, certificates=ours) as proxy:
        for bundle in (ours.ca_bundle, others.ca_bundle + ours.ca_bundle):
            assert Wire(proxy.endpoint, ca_bundle=bundle).send(GET, 100).body == b"here"
        assert Wire(proxy.endpoint.replace("127.0.0.1", "localhost"), ca_bundle=ours.ca_bundle).send(GET, 100).status == 200
        for bundle in ("", others.ca_bundle):
            wire = Wire(proxy.endpoint, ca_bundle=bundle)
            with pytest.raises(WireError, match="certificate verify failed: "):
                wire.send(GET, 100)
            error = error_of(wire)
            assert type(error) is errors.CertificateInvalid
            assert "is not trusted (certificate verify failed: " in str(error)
            assert str(error).endswith("): set spec.s3.caBundle")
        proxy.expire(1)
        assert "certificate has expired" in str(error_of(Wire(proxy.endpoint, ca_bundle=ours.ca_bundle)))
    assert len(script.asked) == 3


def test_a_name_that_is_not_known() -> None:
    error = error_of(Wire(ELSEWHERE))
    assert type(error) is errors.EndpointUnreachable
    assert "the name of http://here cannot be looked up (Name or service not known): correct spec.s3.endpoint" in str(error)


def test_a_connection_that_is_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = error_of(Wire(f"http://127.0.0.1:{closed.getsockname()[1]}"))
    assert type(error) is errors.EndpointUnreachable
    assert str(error).endswith("http://here cannot be reached: connection refused")


def test_a_port_that_does_not_speak_tls(script: Scripted) -> None:
    error = error_of(Wire(script.url.replace("http:", "https:")))
    assert type(error) is errors.EndpointUnreachable
    assert "http://here does not speak TLS: write http://" in str(error)


def test_a_port_that_does_not_speak_http() -> None:
    with talking(b"SSH-2.0-OpenSSH_9.9\r\n") as url:
        error = error_of(Wire(url))
    assert type(error) is errors.EndpointUnreachable
    assert "http://here does not answer as S3 does" in str(error)


def test_a_connection_that_breaks_off() -> None:
    with serving(Say(200, b"1", length=10)) as script:
        error = error_of(Wire(script.url))
    assert type(error) is errors.Unavailable
    assert str(error).endswith("the connection to http://here broke off")


def test_a_service_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wires, "ANSWER_SECONDS", 0.1)
    with talking(b"") as url:
        error = error_of(Wire(url))
    assert type(error) is errors.Unavailable
    assert str(error).endswith("http://here did not answer in time")


def test_a_break_on_a_connection_that_is_used_again_is_no_missing_service() -> None:
    with serving(Say(200, b"here"), Say(200, b"he", length=9)) as script:
        wire = Wire(script.url)
        assert wire.send(GET, 100).body == b"here"
        error = error_of(wire)
        assert type(error) is errors.Unavailable, error


def test_the_port_of_the_scheme_is_not_signed() -> None:
    """libcurl leaves it out of the Host header."""
    assert [Wire(url).host for url in ("https://s3:443", "http://s3:80", "https://s3:80", "http://s3:8333/x")] == [
        "s3",
        "s3",
        "s3:80",
        "s3:8333",
    ]
