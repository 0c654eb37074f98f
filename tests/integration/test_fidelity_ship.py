"""`ship` while each single request of it fails, in every way: it does not give up, and what it commits is what main wrote."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from datums.model import podpaths
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import WAYS, Script, at
from tests.integration.fidelity_kit import HURRY, ForkedPod, Tree, pending_uploads, sweep
from tests.integration.s3_fixture import S3Server

SEEDS = int(os.environ.get("DATUMS_SEEDS", "10"))
HANG = ("black hole", "silent body", "slow")
COMMIT_SECONDS = 120.0
_noise = random.Random(5)
FILES: Tree = {
    "empty": b"",
    "ten.csv": _noise.randbytes(10 << 10),
    "in/parts.bin": _noise.randbytes(11 << 20),
    "odd + %2F#é.txt": b"odd",
} | {f"small/{n:03}.txt": _noise.randbytes(n * 11) for n in range(70)}


@pytest.fixture(scope="module")
def shared_bucket(s3_server: S3Server) -> str:
    s3_server.boto().create_bucket(Bucket="b-fidelity-ship")
    return "b-fidelity-ship"


Shipping = Callable[..., None]


@pytest.fixture
def shipping(shared_bucket: str, s3_server: S3Server, tmp_path: Path) -> Shipping:
    """Saves all files through a proxy, from a new pod, and checks what was committed."""
    made = iter(range(1 << 30))
    store = s3_server.open(shared_bucket)
    list(store.list("none/"))

    def run(proxy: FaultProxy, *, live: bool = False, constants: Mapping[str, object] | None = None, **access: Any) -> None:
        root = tmp_path / f"pod-{next(made)}"
        pod = ForkedPod(root, s3_server, shared_bucket, store, endpoint=proxy.endpoint, part_size_mib=5, **access)
        try:
            if live:
                pod.start(constants=constants)
                pod.main_starts()
            for path, data in FILES.items():
                target = pod.outputs / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            if live:
                time.sleep(0.5)  # some files are saved before main's end, some are on their way
            else:
                pod.start(constants=constants)
                pod.main_starts()
            pod.main_ends()
            pod.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")  # a main this short is not seen by its lifeline alone
            commit = pod.committed(COMMIT_SECONDS)
            contents = pod.contents()
            assert contents == {(path, 0): data for path, data in FILES.items()}
            assert (commit.outputs.files, commit.outputs.refused) == (len(FILES), 0)
            assert len({entry.datum for entry in pod.entries()}) == len(FILES)
            pod.processes[-1].terminate()
            assert pod.processes[-1].wait(30) == 0
            assert pending_uploads(s3_server, shared_bucket, pod.prefix) == []
            assert "Traceback" not in pod.log()
        except AssertionError as error:
            raise AssertionError(f"{str(error)[:1000]}\n{proxy.faults[:20]}\n{pod.log()}") from None
        finally:
            pod.close()
        shutil.rmtree(root)

    return run


def count(shipping: Shipping, server: S3Server) -> int:
    """How many requests a run makes when nothing fails."""
    with FaultProxy(server.endpoint) as proxy:
        shipping(proxy)
        return len(proxy.hits)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in (*HANG, "certificate", "flip")])
def test_every_request_fails_once(shipping: Shipping, s3_server: S3Server, way: str) -> None:
    def trial(number: int) -> None:
        with FaultProxy(s3_server.endpoint, Script([at(number, way)], seed=number)) as proxy:
            shipping(proxy, concurrency=2)
            assert proxy.faults or len(proxy.hits) < number

    requests = count(shipping, s3_server)
    sweep([(f"{way}, request {number}", lambda number=number: trial(number)) for number in range(1, requests + 1)])


@pytest.mark.parametrize("way", HANG)
def test_every_request_hangs_once(shipping: Shipping, s3_server: S3Server, way: str) -> None:
    """They wait more than they work: many at a time."""

    def trial(number: int) -> None:
        with FaultProxy(s3_server.endpoint, Script([at(number, way)], seed=number)) as proxy:
            shipping(proxy, constants=HURRY, concurrency=2)

    requests = count(shipping, s3_server)
    sweep([(f"{way}, request {number}", lambda number=number: trial(number)) for number in range(1, requests + 1)], at_once=32)


def test_a_certificate_expires_before_any_request(shipping: Shipping, s3_server: S3Server, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    def trial(number: int) -> None:
        with FaultProxy(s3_server.endpoint, Script([at(number, "certificate")]), certificates=certificates) as proxy:
            shipping(proxy, concurrency=2, ca_bundle=certificates.ca_bundle)

    requests = count(shipping, s3_server)
    sweep([(f"certificate, request {number}", lambda number=number: trial(number)) for number in range(1, requests + 1)])


@pytest.mark.parametrize("live", [False, True])
def test_faults_at_random(shipping: Shipping, s3_server: S3Server, live: bool) -> None:
    """Of every kind that ends by itself, several in one run, before and after main's end."""
    ways = [way for way in WAYS if way not in (*HANG, "certificate", "flip")]

    def trial(seed: int) -> None:
        faults = [msgspec.structs.replace(WAYS[way], times=0, share=0.02) for way in ways]
        with FaultProxy(s3_server.endpoint, Script(faults, seed)) as proxy:
            shipping(proxy, live=live)

    sweep([(f"seed {seed}", lambda seed=seed: trial(seed)) for seed in range(SEEDS)])
