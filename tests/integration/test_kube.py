"""The operator's seam to a real API server."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.config import incluster_config

from datums.control.kube import (
    EXECUTIONS,
    SECRETS,
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    Kube,
    NotFound,
    Unauthorized,
    Unavailable,
)
from tests.integration.kube_fixture import free_port
from tests.integration.machinery_kit import execution, token_of


async def test_every_refusal_has_its_type_and_says_what_was_asked(kube: Kube, namespace: str) -> None:
    with pytest.raises(NotFound, match=f'GET Secret {namespace}/none: secrets "none" not found'):
        await kube.get(SECRETS, namespace, "none")
    made = await kube.create(SECRETS, namespace, {"metadata": {"name": "one"}})
    with pytest.raises(AlreadyExists):
        await kube.create(SECRETS, namespace, {"metadata": {"name": "one"}})
    with pytest.raises(Conflict):
        await kube.delete(SECRETS, namespace, "one", uid="another")
    with pytest.raises(Conflict):
        await kube.patch(SECRETS, namespace, "one", {"metadata": {"resourceVersion": "1"}, "stringData": {"a": "b"}})
    with pytest.raises(Invalid, match=r"spec\.image"):
        await kube.create(EXECUTIONS, namespace, {**execution(), "spec": {"command": "true"}})
    assert (await kube.create(SECRETS, namespace, {"metadata": {"name": "dry"}}, dry_run=True))["metadata"]["name"] == "dry"
    with pytest.raises(NotFound):
        await kube.get(SECRETS, namespace, "dry")
    await kube.delete(SECRETS, namespace, "one", uid=made["metadata"]["uid"])


async def test_a_list_comes_in_chunks_and_whole(kube: Kube, namespace: str) -> None:
    for n in range(7):
        await kube.create(SECRETS, namespace, {"metadata": {"name": f"s{n}", "labels": {"odd": str(n % 2)}}})
    assert len(await kube.list(SECRETS, namespace, limit=2)) == 7
    odd = await kube.list(SECRETS, namespace, label_selector="odd=1", limit=2)
    assert [(s["kind"], s["metadata"]["name"]) for s in odd] == [("Secret", f"s{n}") for n in (1, 3, 5)]


async def test_metadata_only_leaves_the_content_of_a_secret_on_the_server(kube: Kube, namespace: str) -> None:
    await kube.create(SECRETS, namespace, {"metadata": {"name": "s"}, "stringData": {"key": "value"}})
    partial = await kube.get(SECRETS, namespace, "s", metadata_only=True)
    assert "data" not in partial
    assert partial["metadata"]["resourceVersion"]


async def test_apply_takes_back_what_it_no_longer_says_and_leaves_what_others_say(kube: Kube, namespace: str) -> None:
    await kube.create(SECRETS, namespace, {"metadata": {"name": "s", "labels": {"theirs": "1"}}})
    await kube.apply(SECRETS, namespace, "s", {"metadata": {"labels": {"ours": "1", "old": "1"}}})
    applied = await kube.apply(SECRETS, namespace, "s", {"metadata": {"labels": {"ours": "2"}}})
    assert applied["metadata"]["labels"] == {"theirs": "1", "ours": "2"}


async def test_a_server_that_is_not_there_is_unavailable_after_bounded_retries(control_plane: Any, tmp_path: Path) -> None:
    text = Path(control_plane.kubeconfig).read_text()
    here = (await _server(control_plane)).rsplit(":", 1)[1]
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(text.replace(f":{here}", f":{free_port()}"))
    started = time.monotonic()
    async with await Kube.connect(str(elsewhere)) as kube:
        with pytest.raises(Unavailable, match="no answer from https://127"):
            await kube.get(SECRETS, "default", "x")
    assert 1 < time.monotonic() - started < 10


async def _server(control_plane: Any) -> str:
    async with await Kube.connect(str(control_plane.kubeconfig)) as kube:
        return (await kube.connection()).server


async def test_a_pod_uses_its_service_account_and_its_renewed_token(
    control_plane: Any, kube: Kube, namespace: str, account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await kube.connection()
    token = tmp_path / "token"
    token.write_text("not-a-token-any-more")
    certificate = tmp_path / "ca.crt"
    certificate.write_bytes(Path(str(server.ca_file)).read_bytes())
    host, port = server.server.removeprefix("https://").split(":")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    # The client reads the file again once a minute.
    monkeypatch.setattr(incluster_config.datetime, "timedelta", lambda **_: timedelta(0))
    async with await Kube.connect() as pod_:
        with pytest.raises(Unauthorized):
            await pod_.get(SECRETS, namespace, "x")
        token.write_text(await token_of(kube, namespace, None, "https://kubernetes.default.svc"))
        with pytest.raises(Forbidden, match=f"system:serviceaccount:{namespace}:default"):
            await pod_.get(SECRETS, namespace, "x")
        assert (await pod_.connection()).token == token.read_text(), "what the watches are given"
