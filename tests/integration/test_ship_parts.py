"""`ship` and large files: sent in parts, of which none is sent again once it has arrived.

`DATUMS_SEEDS` says how many moments are tried (5 in a normal run).
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from tests.faults.proxy import FaultProxy
from tests.faults.script import XML, Fault, Hit, Script, s3_error
from tests.integration.ship_kit import Pods, ShipPod, problems, run_to_commit, wait_for, write

SEEDS = int(os.environ.get("DATUMS_SEEDS", "5"))
PART = 5 << 20
PARTS = 12
BIG = random.Random(7).randbytes(PART * (PARTS - 1) + 12_345)
IN_FLIGHT = 6


class Watched:
    """A pod whose large file goes through a proxy that counts, and the moment at which its `ship` dies."""

    def __init__(self, pod: ShipPod, proxy: FaultProxy) -> None:
        self.pod = pod
        self.proxy = proxy
        self.dies = threading.Event()
        proxy.watch = self._watch
        self._kill_at: tuple[str, int] | None = None

    def kill_at(self, pattern: str, nth: int) -> None:
        """SIGKILL when the nth request comes whose method and target match."""
        self.dies.clear()
        self._kill_at = pattern, nth

    def puts(self) -> Counter[int]:
        """How often each part was sent."""
        found = (re.search(r"partNumber=(\d+)", hit.target) for hit in self.proxy.hits if hit.method == "PUT")
        return Counter(int(match[1]) for match in found if match)

    def _watch(self, hit: Hit) -> None:
        if self._kill_at is None or not re.search(self._kill_at[0], f"{hit.method} {hit.target}"):
            return
        self._kill_at = self._kill_at[0], self._kill_at[1] - 1
        if self._kill_at[1] == 0:
            self._kill_at = None
            self.pod.processes[-1].kill()
            self.dies.set()


@pytest.fixture
def watched(pods: Pods) -> Iterator[Watched]:
    with watching(pods) as one:
        yield one


class watching:
    def __init__(self, pods: Pods, attempt: int = 1) -> None:
        self._pod = pods()
        self._proxy = FaultProxy(self._pod.server.endpoint)
        pod = self._pod
        pod.execution = msgspec.structs.replace(pod.execution, attempt=attempt)
        pod.write_secret(
            pod.server.keys["admin"], msgspec.structs.replace(pod.access, endpoint=self._proxy.endpoint, part_size_mib=PART >> 20)
        )

    def __enter__(self) -> Watched:
        self._proxy.__enter__()
        return Watched(self._pod, self._proxy)

    def __exit__(self, *_: Any) -> None:
        self._pod.close()
        self._proxy.__exit__(None, None, None)


def pending(pod: ShipPod) -> list[Any]:
    listed: list[Any] = pod.server.boto().list_multipart_uploads(Bucket=pod.bucket).get("Uploads", [])
    return listed


def arrived(pod: ShipPod) -> set[int]:
    """The parts that the server has of the one upload that is pending."""
    [upload] = pending(pod)
    listed = pod.server.boto().list_parts(Bucket=pod.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    return {part["PartNumber"] for part in listed.get("Parts", [])}


def begin(pod: ShipPod) -> None:
    write(pod, "big.bin", BIG)
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.main_ends()


def killed_at_part(watched: Watched, nth: int) -> ShipPod:
    """A pod whose `ship` has died when it sent the nth part."""
    watched.kill_at("PUT .*partNumber", nth)
    begin(watched.pod)
    assert watched.dies.wait(60)
    watched.pod.processes[-1].wait()
    return watched.pod


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_part_that_has_arrived_is_never_sent_again(watched: Watched, seed: int) -> None:
    rng = random.Random(seed)
    pod = killed_at_part(watched, rng.randrange(1, PARTS + 1))
    time.sleep(rng.uniform(0.0, 0.5))
    there, before = arrived(pod), watched.puts()
    pod.start()
    pod.committed(60)
    after = watched.puts() - before
    assert not there & set(after), (there, after)
    assert sum(count - 1 for count in watched.puts().values()) <= IN_FLIGHT
    assert pod.contents() == {("big.bin", 0): BIG}
    assert pod.entries()[0].location.key.endswith("/files/big.bin")  # type: ignore[union-attr]
    assert pending(pod) == []


def test_who_may_not_list_parts_sends_again_those_that_nobody_knows_of(watched: Watched) -> None:
    pod = killed_at_part(watched, 8)
    denied = Fault(do="status", method="GET", path="[?&]uploadId=", status=403, headers=XML, body=s3_error("AccessDenied"), times=0)
    watched.proxy.script = Script([denied])
    pod.start()
    pod.committed(60)
    assert watched.proxy.faults
    assert sum(count - 1 for count in watched.puts().values()) <= IN_FLIGHT
    assert pod.contents() == {("big.bin", 0): BIG} and pending(pod) == []


def test_killed_while_the_parts_become_an_object(watched: Watched) -> None:
    pod = watched.pod
    watched.kill_at("POST .*uploadId", 1)
    begin(pod)
    assert watched.dies.wait(60)
    time.sleep(0.5)
    pod.start()
    pod.committed(60)
    assert max(watched.puts().values()) == 1
    assert pod.contents() == {("big.bin", 0): BIG} and pending(pod) == []


def test_a_file_that_changed_between_two_lives_gets_a_new_key(watched: Watched) -> None:
    pod = killed_at_part(watched, 5)
    other = BIG[::-1]
    write(pod, "big.bin", other)
    pod.start()
    pod.committed(60)
    assert pod.contents() == {("big.bin", 0): other} and pending(pod) == []
    assert re.search(r"/again/\d+/big.bin$", pod.entries()[0].location.key)  # type: ignore[union-attr]


def test_an_upload_that_the_service_has_thrown_away_is_begun_anew(watched: Watched) -> None:
    pod = killed_at_part(watched, 8)
    for upload in pending(pod):
        pod.server.boto().abort_multipart_upload(Bucket=pod.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    pod.start()
    pod.committed(60)
    assert pod.contents() == {("big.bin", 0): BIG} and pending(pod) == []


def test_uploads_that_dead_attempts_have_left_are_aborted_and_no_others(pods: Pods) -> None:
    with watching(pods, attempt=2) as watched:
        pod, boto = watched.pod, watched.pod.server.boto()
        execution = pod.prefix.removesuffix("2/")
        other = execution.replace(pod.execution.uid[:8], "00000000")
        for key in (f"{execution}1/files/a", f"{pod.prefix}files/never", f"{execution}3/files/a", f"{other}1/files/a", "else"):
            boto.create_multipart_upload(Bucket=pod.bucket, Key=key)
        write(pod, "f", b"1")
        run_to_commit(pod)
        kept = {f"{execution}3/files/a", f"{other}1/files/a", "else"}
        wait_for(lambda: {upload["Key"] for upload in pending(pod)} == kept, what="the strays of this execution to be aborted")
        time.sleep(0.3)
        assert {upload["Key"] for upload in pending(pod)} == kept


def test_a_large_file_that_changes_while_it_is_sent_is_refused_by_name(watched: Watched) -> None:
    pod = watched.pod
    write(pod, "good", b"1")
    restless = write(pod, "restless", BIG)
    stop = threading.Event()

    def rewrite() -> None:
        with restless.open("r+b") as stream:
            while not stop.wait(0.001):
                stream.seek(0)
                stream.write(os.urandom(1000))
                stream.flush()

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        outcome = run_to_commit(pod).outputs
    finally:
        stop.set()
        writer.join()
    assert (outcome.files, outcome.refused) == (1, 1)
    assert "changed while it was read, 3 times" in problems(pod)["restless"]
    assert pod.contents() == {("good", 0): b"1"} and pending(pod) == []
