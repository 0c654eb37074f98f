"""`ship` as it runs in a pod, from main's start to the verdict: real processes, FIFOs and a real S3 server."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import msgspec
import pytest

from datums.model import ids, layout, podpaths
from datums.model.commit import SetIndex
from datums.model.podcommands import gate_command, main_command
from tests.integration.ship_kit import Pods, ShipPod, run_to_commit, wait_for, write
from tests.integration.ship_lines import Agent

BIG = random.Random(7).randbytes(40 << 20)


def test_what_main_wrote_is_committed_and_gate_may_end(pod: ShipPod) -> None:
    gate = os.open(pod.at(podpaths.GATE), os.O_RDWR | os.O_NONBLOCK)
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    write(pod, "a/b.csv", b"x,y\n")
    write(pod, "big.bin", BIG)
    pod.main_ends()
    commit = pod.committed()
    assert pod.contents() == {("a/b.csv", 0): b"x,y\n", ("big.bin", 0): BIG}
    assert (commit.outputs.files, commit.outputs.bytes, commit.outputs.refused) == (2, 4 + len(BIG), 0)
    assert commit.execution == pod.execution and commit.set == ids.set_of_attempt(pod.execution.uid, 1)
    assert abs(commit.main_ended_at - time.time()) < 60
    assert pod.at(podpaths.VERDICT).read_bytes() == b'{"committed":true}'
    assert os.read(gate, 10)
    os.close(gate)
    store = pod.store
    index = msgspec.json.decode(store.get(layout.set_key("datums", "churn", commit.set)), type=SetIndex)
    assert (index.execution, index.commit) == (pod.execution, layout.commit_key(pod.prefix))
    entry = next(entry for entry in pod.entries() if entry.path == "a/b.csv")
    assert entry.datum == str(ids.file_id(commit.set, "a/b.csv", 0, entry.sha256))
    assert entry.location is not None and entry.location.key == f"{pod.prefix}files/a/b.csv"


def test_nothing_written_is_an_empty_commit(pod: ShipPod) -> None:
    assert run_to_commit(pod).outputs.files == 0
    assert pod.entries() == []


@pytest.mark.parametrize("written", ["before", "after"])
def test_sigterm_does_not_stop_the_commit(pod: ShipPod, written: str) -> None:
    process = pod.start()
    pod.main_starts()
    pod.main_was_seen()
    if written == "before":
        write(pod, "f", b"1")
    process.terminate()
    time.sleep(0.3)
    if written == "after":
        write(pod, "f", b"1")
    assert process.poll() is None
    pod.main_ends()
    assert process.wait(10) == 0
    assert pod.contents() == {("f", 0): b"1"}


def test_sigterm_after_the_commit_ends_it_at_once(pod: ShipPod) -> None:
    run_to_commit(pod)
    pod.processes[-1].terminate()
    assert pod.processes[-1].wait(10) == 0


def test_it_does_not_seal_while_main_lives_or_was_never_seen(pods: Pods) -> None:
    unseen, alive = pods(), pods()
    for pod in (unseen, alive):
        write(pod, "f", b"1")
        pod.start()
    alive.main_starts()
    time.sleep(1.5)
    assert not any(pod.at(podpaths.VERDICT).exists() for pod in (unseen, alive))
    unseen.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")
    assert unseen.committed().outputs.files == 1, "the operator's word is the second key"


def test_a_short_main_that_a_new_life_of_ship_never_saw_end(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.kill()
    write(pod, "f", b"1")
    pod.main_ends()
    pod.start()
    assert pod.committed().outputs.files == 1


def test_a_set_that_belongs_to_another_attempt_is_salted_away(pods: Pods) -> None:
    pod = pods()
    other = msgspec.structs.replace(pod.execution, uid="another")
    taken = ids.set_of_attempt(pod.execution.uid, 1)
    index = msgspec.to_builtins(SetIndex(execution=other, commit="elsewhere"))
    pod.store.put(layout.set_key("datums", "churn", taken), msgspec.json.encode(index))
    write(pod, "f", b"1")
    commit = run_to_commit(pod)
    assert commit.set == ids.set_of_attempt(pod.execution.uid, 1, salt=1)
    entry = pod.entries()[0]
    assert entry.datum == str(ids.file_id(commit.set, "f", 0, entry.sha256))


def test_stop_is_passed_on_to_main(pod: ShipPod) -> None:
    watcher = os.open(pod.at(podpaths.STOP), os.O_RDONLY | os.O_NONBLOCK)
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.at(podpaths.PODINFO_STOP).write_text("30")

    def read() -> bytes:
        try:
            return os.read(watcher, 100)
        except BlockingIOError:
            return b""

    assert wait_for(read, 3) == b"30\n"
    time.sleep(0.5)
    assert read() == b"", "once"
    os.close(watcher)
    pod.main_ends()
    pod.committed()


def test_progress_is_reported_on_one_connection(pods: Pods) -> None:
    pod = pods()
    with Agent() as agent:
        pod.agent_url = agent.url
        pod.write_secret(pod.server.keys["admin"])
        pod.start()
        pod.main_starts()
        wait_for(lambda: agent.reports)
        url = f"http://127.0.0.1:{pod.agent_port}{podpaths.status_detail_path(pod.execution.uid)}"
        request = urllib.request.Request(url, b'{"status_detail": "epoch 3"}', {"Content-Type": "application/json"})
        wait_for(lambda: _answers(request))
        wait_for(lambda: agent.reports[-1].status_detail == "epoch 3")
        write(pod, "f", b"123")
        pod.main_ends()
        pod.committed()
        wait_for(lambda: agent.reports[-1].phase == "Committed")
    last = agent.reports[-1]
    assert (last.files, last.bytes, last.status_detail) == (1, 3, "epoch 3")
    assert agent.tokens == {"Bearer a-token"} and len(agent.connections) == 1
    assert {report.phase for report in agent.reports} <= {"Running", "Uploading", "Committing", "Committed"}


def _answers(request: urllib.request.Request) -> bool:
    try:
        with urllib.request.urlopen(request, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a mount and a PID namespace")
@pytest.mark.skipif(not Path("/usr/bin/tini-static").exists(), reason="needs the packages busybox-static and tini")
@pytest.mark.parametrize("ending", ["by itself", "by stop"])
def test_main_and_gate_with_ship(pods: Pods, ending: str) -> None:
    """The three containers' own commands: main as PID 1 with the run directory mounted read-only, gate, and `ship`."""
    pod = pods()
    run = pod.at(podpaths.RUN)
    shutil.copy("/bin/busybox", run / "busybox")
    shutil.copy("/usr/bin/tini-static", run / "tini-static")
    mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    until = "sleep 2; exit 3" if ending == "by itself" else "trap 'echo saved >late; exit 7' TERM; while :; do sleep 0.1; done"
    command = main_command(f"echo early >early; ! touch {run}/forged 2>/dev/null && {until}", str(run))
    pod.start()
    gate = subprocess.Popen(gate_command(str(run), str(pod.root / "gate.log")))
    main = subprocess.Popen(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", mounted, str(run), *command], cwd=pod.outputs
    )
    if ending == "by stop":
        wait_for((pod.outputs / "early").exists)
        pod.at(podpaths.PODINFO_STOP).write_text("20")
    assert main.wait(10) == (3 if ending == "by itself" else 7)
    pod.committed()
    assert gate.wait(5) == 0
    assert (pod.root / "gate.log").read_bytes() == b'{"committed":true}'
    expected = {("early", 0): b"early\n"} | ({("late", 0): b"saved\n"} if ending == "by stop" else {})
    assert pod.contents() == expected
