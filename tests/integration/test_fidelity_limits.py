"""Volumes that are full or read-only, and processes that may open few files: a sentence with the path and the number."""

from __future__ import annotations

import os
import random
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datums.model import podpaths
from tests.faults.profiles import Profile
from tests.faults.proxy import FaultProxy
from tests.integration.fidelity_kit import FetchPod, ForkedPod, pending_uploads, raw
from tests.integration.s3_fixture import S3Server
from tests.integration.ship_kit import wait_for

LARGE = random.Random(8).randbytes(6 << 20)
Mount = Callable[[Path, str], None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a small file system in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted: list[Path] = []

    def do(where: Path, options: str) -> None:
        where.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
        mounted.append(where)

    yield do
    for where in mounted:
        subprocess.run(["umount", "-l", where], check=True)


@pytest.fixture
def pod(tmp_path: Path, s3_server: S3Server, bucket: str) -> FetchPod:
    store = s3_server.open(bucket)
    store.put("raw/large.bin", LARGE)
    for n in range(300):
        store.put(f"raw/small/{n:03}", bytes(5000))
    return FetchPod(tmp_path / "pod", s3_server, bucket)


@pytest.mark.parametrize("pattern", ["raw/large.bin", "raw/small/*"])
@pytest.mark.parametrize("options", ["size=1m", "size=1m,nr_inodes=100"])
def test_the_volume_of_the_inputs_is_full(pod: FetchPod, mount: Mount, pattern: str, options: str) -> None:
    mount(pod.inputs, options)
    pod.plan(raw("x", pattern))
    ran = pod.run()
    assert ran.result.reason == "Evicted", ran.result
    assert str(pod.inputs / "x") in ran.result.message or "/valohai/inputs/x" in ran.result.message
    assert any(letter.isdigit() for letter in ran.result.message.replace(str(pod.root), ""))
    assert "space" in ran.result.message
    assert all(data == bytes(5000) for data in ran.tree.values()), "what is not whole is gone"
    if pattern == "raw/large.bin":
        assert ran.tree == {}


def test_the_volume_of_the_inputs_is_read_only(pod: FetchPod, mount: Mount) -> None:
    mount(pod.inputs, "size=1m")
    subprocess.run(["mount", "-o", "remount,ro", pod.inputs], check=True)
    pod.plan(raw("x", "raw/large.bin"))
    ran = pod.run()
    assert (ran.result.reason, ran.tree) == ("Evicted", {}), ran.result
    assert "read-only" in ran.result.message.lower() and "/valohai/inputs" in ran.result.message


def test_a_file_may_not_grow_that_large(pod: FetchPod) -> None:
    """As under a quota of the file system, which needs no root here."""
    pod.plan(raw("x", "raw/large.bin"))
    ran = pod.run(limits=[(resource.RLIMIT_FSIZE, 1 << 20)])
    assert (ran.result.reason, ran.tree) == ("Evicted", {}), ran.result
    assert "large.bin" in ran.result.message


def test_fetch_may_open_few_files(pod: FetchPod) -> None:
    pod.plan(raw("x", "raw/small/*"), raw("y", "raw/large.bin"))
    for limit in (24, 32, 48, 80):
        ran = pod.run(limits=[(resource.RLIMIT_NOFILE, limit)])
        if ran.result.reason:
            assert str(limit) in ran.result.message, ran.result
            assert "open files" in ran.result.message, ran.result
        assert all(data in (LARGE, bytes(5000)) for data in ran.tree.values())
    assert pod.run().result.reason == ""


def test_ship_beside_a_full_volume(tmp_path: Path, s3_server: S3Server, bucket: str, mount: Mount) -> None:
    """It says what is full, there or in its last words (the kubelet starts it again), and commits everything when there is room."""
    pod = ForkedPod(tmp_path / "pod", s3_server, bucket)
    try:
        state = pod.at(podpaths.STATE)
        mount(state, "size=1m")
        process = pod.start()
        pod.main_starts()
        pod.main_was_seen()
        with (state / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while filler.write(bytes(4096)):
                pass
        for n in range(200):
            (pod.outputs / f"{n}").write_bytes(bytes([n]) * 3000)
        (pod.outputs / "large.bin").write_bytes(LARGE)
        pod.main_ends()
        wait_for(lambda: "full" in pod.log() or "space" in pod.log(), 60, "a word")
        assert not pod.at(podpaths.VERDICT).exists()
        (state / "filler").unlink()
        if process.poll() is not None:
            pod.start()
        pod.committed(60)
        assert len(pod.contents()) == 201
        assert pending_uploads(s3_server, bucket, pod.prefix) == []
    finally:
        pod.close()


def test_ship_may_open_few_files(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    """Files that it cannot open are tried again or refused by name, never left out in silence."""
    pod = ForkedPod(tmp_path / "pod", s3_server, bucket)
    try:
        for n in range(100):
            (pod.outputs / f"{n}").write_bytes(bytes([n]) * 3000)
        pod.start(limits=[(resource.RLIMIT_NOFILE, 32)])
        pod.main_starts()
        pod.main_ends()
        pod.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")
        outputs = pod.committed(60).outputs
        assert outputs.files + outputs.refused == 100
        assert len(pod.contents()) == outputs.files
        for problem in outputs.problems:
            assert "32" in problem.message and "open files" in problem.message, problem
    finally:
        pod.close()


STORM = Profile(refuse_checksums="InvalidArgument", ignore_if_none_match=True, requests_per_second=150, burst=30)


def test_fetch_in_a_storm_of_503(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    """Far more is asked for than the store gives; it settles, and no file is lost."""
    store = s3_server.open(bucket)
    tree = {f"raw/s/{n:03}": bytes([n % 251]) * (n + 1) for n in range(400)}
    for key, data in tree.items():
        store.put(key, data)
    key = s3_server.keys["admin"]
    secrets = {key["AWS_ACCESS_KEY_ID"]: key["AWS_SECRET_ACCESS_KEY"]}
    with FaultProxy(s3_server.endpoint, profile=STORM, secrets=secrets) as proxy:
        pod = FetchPod(tmp_path / "pod", s3_server, bucket, endpoint=proxy.endpoint, checksums="WhenRequired", concurrency=64)
        pod.plan(raw("x", "raw/s/*", keep_directories="Full"))
        ran = pod.run()
        assert ran.tree == {f"x/{key}": data for key, data in tree.items()}, ran.result
        assert 0 < len(proxy.faults) < len(proxy.hits) / 2, "most requests were made when the store could take them"


def test_ship_in_a_storm_of_503(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    key = s3_server.keys["admin"]
    secrets = {key["AWS_ACCESS_KEY_ID"]: key["AWS_SECRET_ACCESS_KEY"]}
    with FaultProxy(s3_server.endpoint, profile=STORM, secrets=secrets) as proxy:
        pod = ForkedPod(
            tmp_path / "pod", s3_server, bucket, packs="Never", endpoint=proxy.endpoint, checksums="WhenRequired", concurrency=64
        )
        try:
            for n in range(400):
                (pod.outputs / f"{n}").write_bytes(bytes([n % 251]) * (n + 1))
            pod.start()
            pod.main_starts()
            pod.main_ends()
            pod.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")
            pod.committed(60)
            assert len(pod.contents()) == 400
            assert 0 < len(proxy.faults) < len(proxy.hits) / 2, "most requests were made when the store could take them"
        finally:
            pod.close()
