"""`fetch` while each single request of it fails, in every way: the tree is identical, or a typed reason names the object."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import TRANSIENT, WAYS, Fault, Hit, Script, at
from tests.integration.fidelity_kit import (
    HURRY,
    FetchPod,
    FetchRun,
    SavedSet,
    Tree,
    below,
    bundle,
    check_fetched,
    raw,
    save_set,
    sweep,
)
from tests.integration.s3_fixture import S3Server

SEEDS = int(os.environ.get("DATUMS_SEEDS", "10"))
HANG = ("black hole", "silent body", "slow")


class Data(NamedTuple):
    """What every run loads."""

    bucket: str
    saved: SavedSet
    tree: Tree


@pytest.fixture(scope="module")
def data(s3_server: S3Server) -> Data:
    bucket = "b-fidelity-fetch"
    s3_server.boto().create_bucket(Bucket=bucket)
    store = s3_server.open(bucket)
    noise = random.Random(4)
    files = {"empty": b"", "ten.csv": noise.randbytes(10 << 10), "deep/er/large.bin": noise.randbytes(9 << 20)}
    packed = {f"small/{n}.txt": noise.randbytes(n * 37) for n in range(1, 21)}
    saved = save_set(store, "earlier", files, packed)
    globbed = {f"raw/set/{n} +%2F#é.bin": noise.randbytes(2000 + n) for n in range(5)}
    for key, content in (globbed | {"raw/one.csv": b"1,2\n" * 100, "raw/settled/not-this": b"x"}).items():
        store.put(key, content)
    tree = below("bundle", saved.tree) | below("full", globbed) | {"one/one.csv": b"1,2\n" * 100}
    return Data(bucket, saved, tree)


Fetching = Callable[..., FetchRun]


@pytest.fixture
def fetching(data: Data, s3_server: S3Server, tmp_path: Path) -> Iterator[Fetching]:
    """Loads everything through a proxy, in a new pod, and checks the outcome."""
    made = iter(range(1 << 30))

    def run(proxy: FaultProxy, constants: Mapping[str, object] | None = None, **access: object) -> FetchRun:
        root = tmp_path / f"pod-{next(made)}"
        root.mkdir()
        pod = FetchPod(root, s3_server, data.bucket, endpoint=proxy.endpoint, **access)
        pod.plan(bundle("bundle", data.saved), raw("full", "raw/set/*", keep_directories="Full"), raw("one", "raw/one.csv"))
        ran = pod.run(constants=constants)
        try:
            check_fetched(ran, data.tree, ("store://ml/", f"s3://{data.bucket}/", "datum://bundle", "DataStore platform/ml"))
            if not ran.result.reason:
                pod.check_written_down(len(data.tree))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{proxy.faults}\n{ran.log}") from None
        pod.remove()
        return ran

    return run


def count(fetching: Fetching, server: S3Server) -> int:
    """How many requests a run makes when nothing fails."""
    with FaultProxy(server.endpoint) as proxy:
        assert fetching(proxy).result.reason == "", proxy.story()
        return len(proxy.hits)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in (*HANG, "certificate", "flip")])
def test_every_request_fails_once(fetching: Fetching, s3_server: S3Server, way: str) -> None:
    def trial(number: int) -> None:
        with FaultProxy(s3_server.endpoint, Script([at(number, way)], seed=number)) as proxy:
            ran = fetching(proxy, concurrency=2)
            assert proxy.faults or len(proxy.hits) < number, proxy.story()
            if way in TRANSIENT:
                assert ran.result.reason == "", f"{ran.result}\n{proxy.faults}"

    requests = count(fetching, s3_server)
    sweep([(f"{way}, request {number}", lambda number=number: trial(number)) for number in range(1, requests + 1)])


@pytest.mark.parametrize("way", HANG)
def test_every_request_hangs_once(fetching: Fetching, s3_server: S3Server, way: str) -> None:
    """They wait more than they work: many at a time."""

    def trial(number: int) -> None:
        with FaultProxy(s3_server.endpoint, Script([at(number, way)], seed=number)) as proxy:
            assert fetching(proxy, HURRY, concurrency=2).result.reason == "", proxy.faults

    requests = count(fetching, s3_server)
    sweep([(f"{way}, request {number}", lambda number=number: trial(number)) for number in range(1, requests + 1)], at_once=32)


def test_a_certificate_expires_before_any_request(fetching: Fetching, s3_server: S3Server, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    def trial(number: int) -> None:
        script = Script([at(number, "certificate")])
        with FaultProxy(s3_server.endpoint, script, certificates=certificates) as proxy:
            result = fetching(proxy, concurrency=2, ca_bundle=certificates.ca_bundle).result
            assert result.reason in ("", "StoreNotReady"), f"{result}\n{proxy.faults}"

    requests = count(fetching, s3_server)
    sweep([(f"certificate, request {number}", lambda number=number: trial(number)) for number in range(1, requests + 1)])


def test_every_answer_with_a_digest_has_a_bit_turned(fetching: Fetching, s3_server: S3Server) -> None:
    """What was saved has a digest; what lies elsewhere has none before its first reading."""

    def trial(nth: int) -> None:
        flip = Fault(do="flip", method="GET", path="/projects/", first=nth)
        with FaultProxy(s3_server.endpoint, Script([flip], seed=nth)) as proxy:
            assert fetching(proxy, concurrency=2).result.reason in ("", "InputDigestMismatch"), proxy.faults

    requests = count(fetching, s3_server)
    sweep([(f"flip {nth}", lambda nth=nth: trial(nth)) for nth in range(1, requests + 1)])


def test_faults_at_random(fetching: Fetching, s3_server: S3Server) -> None:
    """Several at once, each of another kind, of those that another try mends: everything arrives."""

    def trial(seed: int) -> None:
        faults = [msgspec.structs.replace(WAYS[way], times=0, share=0.02) for way in TRANSIENT]
        with FaultProxy(s3_server.endpoint, Script(faults, seed)) as proxy:
            assert fetching(proxy).result.reason == "", proxy.faults

    sweep([(f"seed {seed}", lambda seed=seed: trial(seed)) for seed in range(SEEDS)])


@pytest.fixture(scope="module")
def many(s3_server: S3Server) -> tuple[str, Tree]:
    """A bucket whose list has three pages, and its tree."""
    bucket = "b-fidelity-fetch-many"
    s3_server.boto().create_bucket(Bucket=bucket)
    store = s3_server.open(bucket)
    content = {f"raw/many/{n:04}": b"%d" % n * (n % 50) for n in range(2050)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, content, content.values()))
    return bucket, below("many", content)


@pytest.mark.parametrize("way", ["", *sorted(set(TRANSIENT) - {"429", "503"})])  # those would slow all 2,050 down
def test_files_that_come_while_the_list_does(many: tuple[str, Tree], s3_server: S3Server, tmp_path: Path, way: str) -> None:
    bucket, tree = many
    faults = [msgspec.structs.replace(WAYS[way], times=200, share=0.05)] if way else []

    def slowly(hit: Hit) -> None:
        if "list-type=2" in hit.target:
            time.sleep(0.3)

    with FaultProxy(s3_server.endpoint, Script(faults, seed=7)) as proxy:
        proxy.watch = slowly
        pod = FetchPod(tmp_path, s3_server, bucket, endpoint=proxy.endpoint)
        pod.plan(raw("many", "raw/many/*", keep_directories="Full"))
        ran = pod.run(constants=HURRY)
        check_fetched(ran, tree, (f"s3://{bucket}/",))
    assert ran.result.reason == "", proxy.faults
    pod.check_written_down(len(tree))
    lists = [number for number, hit in enumerate(proxy.hits) if "list-type=2" in hit.target]
    asked = [hit.target for hit in proxy.hits[: lists[-1]] if hit.method == "GET" and "/raw/many/" in hit.target]
    assert asked
    if not way:
        loaded = [hit.target for hit in proxy.hits if hit.method == "GET" and "/raw/many/" in hit.target]
        assert len(loaded) == len(set(loaded)) == sum(map(bool, tree.values()))
