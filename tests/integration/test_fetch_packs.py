"""`fetch` of small files that lie in packs."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from datums.model import layout
from datums.model.plan import (
    DatumSource,
    InputPlan,
    SetSource,
)
from tests.integration.fetch_kit import UID, Pod, objects
from tests.integration.s3_fixture import STORE

PACKED = {f"d/{n:03}": bytes([n]) * (n * 37) for n in range(200)} | {"big": b"x" * 300_000, "empty": b""}


@pytest.mark.parametrize("count", [200, 3000])
def test_packed_files_are_loaded_like_others(fetch_pod: Pod, count: int) -> None:
    """Many of them are unpacked by a second process as well."""
    packed = PACKED | {f"d/{n:03}": b"%d " % n * (n % 2000) for n in range(200, count)}
    key, digest, entries = fetch_pod.save("first", dict(packed), packs=3)
    common = {"link": "datum://bundle", "store": STORE, "manifest_key": key, "manifest_sha256": digest}

    def of(name: str, **more: Any) -> InputPlan:
        return InputPlan(name=name, input_id=name, sources=[SetSource(**common, **more)], keep_directories="Full")

    one = next(entry for entry in entries if entry.path == "d/150")
    assert one.location is not None
    single = DatumSource(
        link=f"datum://{one.datum}", datum=one.datum, path=one.path, store=STORE, key=one.location.key, offset=one.location.offset,
        size=one.size, sha256=one.sha256,
    )  # fmt: skip
    fetch_pod.plan(of("all"), of("some", path="d/*7"), InputPlan(name="one", input_id="one", sources=[single]))
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("all") == packed
    assert fetch_pod.files("some") == {path: data for path, data in packed.items() if path.startswith("d/") and path.endswith("7")}
    assert fetch_pod.files("one") == {"150": packed["d/150"]}
    assert fetch_pod.document("inputs")["all"]["files"][1]["storage_uri"].endswith("/packs/1.tar")
    tar = bytearray(fetch_pod.store.get(one.location.key))
    tar[one.location.offset + 100] ^= 1
    fetch_pod.store.put(one.location.key, bytes(tar))
    shutil.rmtree(fetch_pod.root / "valohai/inputs/all")
    fetch_pod.plan(of("all"))
    result = fetch_pod.fetch()
    assert result.reason == "InputDigestMismatch"
    assert "packs/" in result.message
    assert one.path not in fetch_pod.files("all")


def test_raw_links_find_files_in_packs(fetch_pod: Pod) -> None:
    fetch_pod.save("first", dict(PACKED), packs=2)
    fetch_pod.save("plain", {"a": b"plain"})
    attempt = layout.attempt_prefix("datums", "churn", "first", UID, 1)
    fetch_pod.plan(
        objects("all", f"{attempt}files/**", keep_directories="Suffix"),
        objects("above", "datums/projects/churn/executions/*/1/files/**/0*", keep_directories="None"),
        objects("one", f"{attempt}files/d/007"),
    )
    assert fetch_pod.fetch().reason == ""
    assert fetch_pod.files("all") == PACKED
    assert set(fetch_pod.files("above")) == {f"{n:03}" for n in range(100)}
    assert fetch_pod.files("one") == {"007": PACKED["d/007"]}
    fetch_pod.plan(objects("none", f"{attempt}files/d/999"))
    assert fetch_pod.fetch().reason == "InputNotFound"
