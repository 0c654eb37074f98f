"""What stores over obstore take from the process's environment: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Literal

import pytest

from datums.model.plan import StoreAccess
from datums.stores import open_store
from tests.unit.stores.scripted import Say, serving

# Each of them makes obstore fail, or ask somebody else, when it sees it.
THEIRS = {
    "AWS_SESSION_TOKEN": "theirs", "AZURE_STORAGE_ACCOUNT_KEY": "!", "AZURE_STORAGE_TOKEN": "theirs",
    "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere", "GOOGLE_SERVICE_ACCOUNT_KEY": "{}",
}  # fmt: skip


def access(kind: Literal["s3", "gcs", "azure"], endpoint: str) -> StoreAccess:
    return StoreAccess(kind=kind, name="a/b", bucket="raw", account="acme", prefix="d", endpoint=endpoint, anonymous=True)


@pytest.fixture(autouse=True)
def theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in THEIRS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("kind", ["gcs", "azure"])
def test_somebodys_environment_is_not_used(kind: Literal["gcs", "azure"]) -> None:
    head = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    with serving(Say(200, b"data", head)) as script:
        assert open_store(access(kind, script.url), {}).get("x") == b"data"
        assert "authorization" not in script.asked[0].headers


def test_who_reads_the_environment_meanwhile_finds_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """`urllib.request.getproxies` of another thread has failed with a KeyError, when a variable was gone for a moment."""
    found: list[dict[str, str]] = []
    monkeypatch.setattr("datums.stores.gcs.GCSStore", lambda *_: found.append(dict(os.environ)))
    open_store(access("gcs", ""), {})
    assert [THEIRS.items() <= seen.items() for seen in [*found, os.environ]] == [True, True]


@pytest.mark.parametrize("program", ["datums.transfer.shipment", "datums.transfer.fetch", "datums.control.store_pool"])
def test_it_is_hidden_before_there_are_threads(program: str) -> None:
    """By an import that each program makes at its start."""
    # What C sees is what a process inherits that is started without an `env`.
    look = "import os; print(*sorted(name for name in os.environ if name.startswith(('AWS_', 'AZURE_', 'GOOGLE_'))))"
    script = f"import {program}, subprocess, sys; subprocess.run([sys.executable, '-c', {look!r}])"
    ran = subprocess.run([sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
