"""`fetch` and `ship` where a provider knows less than S3, and where a credential ends in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from datums.model import podpaths
from datums.model.plan import InputPlan, SetSource
from tests.faults.profiles import PROFILES
from tests.faults.proxy import FaultProxy
from tests.faults.script import WAYS, Fault, Script
from tests.integration.fidelity_kit import FetchPod, ForkedPod, Tree, pending_uploads, raw
from tests.integration.s3_fixture import STORE, S3Server

FILES: Tree = {"empty": b"", "a b.txt": b"1", "parts.bin": bytes(range(256)) * (11 << 12), "d/é": b"2"}
EXPIRED = WAYS["expired"]


def ship(pod: ForkedPod, files: Tree, meanwhile: Callable[[], object] = lambda: None) -> SetSource:
    """Saves the files, and says how an input takes all of them."""
    try:
        for path, data in files.items():
            (pod.outputs / path).parent.mkdir(exist_ok=True)
            (pod.outputs / path).write_bytes(data)
        pod.start()
        pod.main_starts()
        pod.main_ends()
        pod.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")
        meanwhile()
        made = pod.committed(60).outputs.manifest
        assert {path: data for (path, _), data in pod.contents().items()} == files
        assert pending_uploads(pod.server, pod.bucket, pod.prefix) == []
        return SetSource(link="datum://bundle", store=STORE, manifest_key=made.key, manifest_sha256=made.sha256)
    finally:
        pod.close()


@pytest.mark.parametrize("kind", ["ovh", "oracle"])
def test_out_and_back_without_checksums_and_conditions(
    tmp_path: Path, s3_server: S3Server, bucket: str, kind: Literal["ovh", "oracle"]
) -> None:
    key = s3_server.keys["admin"]
    secrets = {key["AWS_ACCESS_KEY_ID"]: key["AWS_SECRET_ACCESS_KEY"]}
    with FaultProxy(s3_server.endpoint, profile=PROFILES[kind], secrets=secrets) as proxy:
        here = {"kind": kind, "account": "project", "region": "us-east-1", "endpoint": proxy.endpoint, "part_size_mib": 5}
        here["checksums"] = "WhenRequired"  # as the operator has it for these kinds
        saved = ship(ForkedPod(tmp_path / "out", s3_server, bucket, **here), FILES)
        back = FetchPod(tmp_path / "in", s3_server, bucket, **here)
        back.plan(InputPlan(name="x", input_id="x", sources=[saved], keep_directories="Full"))
        ran = back.run()
        assert (ran.result.reason, ran.tree) == ("", {f"x/{path}": data for path, data in FILES.items()}), ran.result
        assert proxy.faults == [], "nothing was sent that the provider refuses"


def test_no_commit_is_overwritten_where_the_provider_ignores_the_condition(
    tmp_path: Path, s3_server: S3Server, bucket: str
) -> None:
    """The zombie of an attempt that has committed looks before it writes, and believes what is there."""
    key = s3_server.keys["admin"]
    secrets = {key["AWS_ACCESS_KEY_ID"]: key["AWS_SECRET_ACCESS_KEY"]}
    with FaultProxy(s3_server.endpoint, profile=PROFILES["ovh"], secrets=secrets) as proxy:
        here = {"kind": "ovh", "account": "project", "endpoint": proxy.endpoint, "conditional_put": False}
        here["checksums"] = "WhenRequired"  # as the operator has it for this kind
        first = ForkedPod(tmp_path / "first", s3_server, bucket, **here)
        second = ForkedPod(tmp_path / "second", s3_server, bucket, **here)
        second.execution = first.execution
        second.write_secret(s3_server.keys["admin"])
        saved = ship(first, {"a": b"first"})
        (second.outputs / "a").write_bytes(b"second")
        try:
            second.start()
            second.main_starts()
            second.main_ends()
            second.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")
            assert second.committed(60).outputs.manifest.key == saved.manifest_key
        finally:
            second.close()


def renewing(proxy: FaultProxy, renew: Callable[[], object]) -> None:
    """Puts a new credential in the place of the old one a moment after a request was refused."""

    def work() -> None:
        while not proxy.faults and not proxy.stopping.wait(0.05):
            pass
        renew()
        proxy.lift()

    threading.Thread(target=work, daemon=True).start()


@pytest.mark.parametrize("first", [1, 2, 4])
def test_a_credential_ends_in_the_middle_and_a_new_one_comes(tmp_path: Path, s3_server: S3Server, bucket: str, first: int) -> None:
    store, keys = s3_server.open(bucket), s3_server.keys["admin"]
    for path, data in FILES.items():
        store.put(f"raw/{path}", data)
    refused = Fault(do="status", status=403, headers=EXPIRED.headers, body=EXPIRED.body, first=first, times=0)
    with FaultProxy(s3_server.endpoint, Script([refused])) as proxy:
        pod = FetchPod(tmp_path / "in", s3_server, bucket, endpoint=proxy.endpoint, concurrency=2)
        pod.plan(raw("x", "raw/**", keep_directories="Full"))
        renewing(proxy, lambda: pod.write_credentials(keys))
        ran = pod.run()
        assert (ran.result.reason, ran.tree) == ("", {f"x/raw/{path}": data for path, data in FILES.items()}), ran.result
        assert proxy.faults
    with FaultProxy(s3_server.endpoint, Script([refused])) as proxy:
        out = ForkedPod(tmp_path / "out", s3_server, bucket, endpoint=proxy.endpoint, concurrency=2, part_size_mib=5)
        ship(out, FILES, lambda: renewing(proxy, lambda: out.write_secret(keys)))
        assert proxy.faults


def test_a_credential_ends_and_none_comes(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    s3_server.open(bucket).put("raw/a", b"1")
    refused = Fault(do="status", status=403, headers=EXPIRED.headers, body=EXPIRED.body, path="/raw/a", times=0)
    with FaultProxy(s3_server.endpoint, Script([refused])) as proxy:
        pod = FetchPod(tmp_path / "in", s3_server, bucket, endpoint=proxy.endpoint)
        pod.plan(raw("x", "raw/*"))
        ran = pod.run(constants={"datums.transfer.fetch_retry:_RENEW_SECONDS": 1.0})
        assert (ran.result.reason, ran.tree) == ("AccessDenied", {})
        assert "store://ml/raw/*" in ran.result.message and "expired" in ran.result.message, ran.result
