"""`ship` and files of every kind: what is saved, and what is refused by name."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest

from datums.model import podpaths
from tests.integration.ship_kit import NOBODY, Pods, ShipPod, problems, run_to_commit, write

BIG = random.Random(7).randbytes(40 << 20)


def test_odd_files(pod: ShipPod) -> None:
    deep = "/".join(["d" * 99] * 10)
    odd = {"empty": b"", "with space & + #?%2F.txt": b"1", "ünï/日本語.csv": b"2", ".hidden": b"3", f"{deep}/leaf": b"4"}
    odd |= {"back\\slash": b"5", "new\nline": b"6", "x" * 255: b"7"}
    for path, data in odd.items():
        write(pod, path, data)
    write(pod, "private", b"8", 0o600)
    os.link(pod.outputs / "private", pod.outputs / "hard-link")
    for directory in ("empty-dir/inner", "taken-dir"):
        (pod.outputs / directory).mkdir(parents=True)
    run_to_commit(pod)
    expected = {(path, 0): data for path, data in odd.items()} | {("private", 0): b"8", ("hard-link", 0): b"8"}
    assert pod.contents() == expected
    assert [entry.path for entry in pod.entries() if entry.is_directory] == ["empty-dir/inner/", "taken-dir/"]
    assert pod.commit().outputs.refused == 0


def test_what_cannot_be_saved_is_refused_by_name(pod: ShipPod) -> None:
    write(pod, "good", b"1")
    os.mkfifo(pod.outputs / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(pod.outputs / "sock"))
    Path(os.fsdecode(os.fsencode(pod.outputs) + b"/caf\xe9")).write_bytes(b"2")
    outcome = run_to_commit(pod).outputs
    assert (outcome.files, outcome.refused) == (1, 3)
    said = problems(pod)
    assert "a FIFO" in said["pipe"] and "a socket" in said["sock"] and "not UTF-8" in said["caf\\xe9"]


def test_an_unreadable_file_is_refused_by_name(pods: Pods) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    pod = pods(user=NOBODY)
    write(pod, "good", b"1")
    (pod.outputs / "secret").write_bytes(b"2")
    (pod.outputs / "secret").chmod(0o600)
    closed = pod.outputs / "closed"
    closed.mkdir(mode=0o700)
    (closed / "inner").write_bytes(b"3")
    outcome = run_to_commit(pod).outputs
    assert (outcome.files, outcome.refused) == (1, 2)
    assert "permission denied" in problems(pod)["secret"] and "cannot be listed" in problems(pod)["closed"]


def test_links(pod: ShipPod) -> None:
    write(pod, "run/a", b"A")
    write(pod, "run/sub/b", b"B")
    links = {
        "latest": "run/a", "abs": f"{podpaths.OUTPUTS}/run/sub/b", "chain": "latest", "run/up": "../run/sub/../a", "dir": "run/sub",
        "out": "/etc/passwd", "out-relative": "../../../etc/passwd", "out-dir": "/etc", "broken": "nothing", "self": "self",
        "run/sub/loop": "..", "sneaky": f"{podpaths.OUTPUTS}/../../etc/passwd", "sibling": f"{podpaths.OUTPUTS}-other/x",
    }  # fmt: skip
    for path, target in links.items():
        (pod.outputs / path).symlink_to(target)
    outcome = run_to_commit(pod).outputs
    followed = {"latest": b"A", "abs": b"B", "chain": b"A", "run/up": b"A", "dir/b": b"B"}
    expected = {(path, 0): data for path, data in ({"run/a": b"A", "run/sub/b": b"B"} | followed).items()}
    assert pod.contents() == expected
    assert {note.path for note in outcome.notes} == {"latest", "abs", "chain", "run/up", "dir"}
    assert set(problems(pod)) == {
        "out",
        "out-relative",
        "out-dir",
        "broken",
        "self",
        "run/sub/loop",
        "sneaky",
        "sibling",
        "dir/loop",
    }
    assert "does not exist" in problems(pod)["broken"] and "outside" in problems(pod)["out"] and "circle" in problems(pod)["self"]


def test_a_file_that_changes_while_it_is_read_is_refused_by_name(pods: Pods) -> None:
    """Nobody can write after main has ended, but on a shared volume: that must not become a datum of mixed bytes."""
    pod = pods()
    write(pod, "good", b"1")
    restless = write(pod, "restless", BIG)
    stop = threading.Event()

    def rewrite() -> None:
        with restless.open("r+b") as stream:
            while not stop.is_set():
                stream.seek(0)
                stream.write(os.urandom(1000))
                stream.flush()
                time.sleep(0.001)

    writer = threading.Thread(target=rewrite)
    writer.start()
    outcome = run_to_commit(pod).outputs
    stop.set()
    writer.join()
    assert (outcome.files, outcome.refused) == (1, 1)
    assert "changed while it was read, 3 times" in problems(pod)["restless"]
    assert pod.contents() == {("good", 0): b"1"}
