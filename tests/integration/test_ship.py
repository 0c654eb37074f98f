"""`ship` as it runs in a pod: real processes, FIFOs and a real S3 server."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from datums.model import ids, layout, podpaths
from datums.model.commit import Report, SetIndex
from datums.model.podcommands import gate_command, main_command
from tests.integration import ship_kit
from tests.integration.s3_fixture import S3Server
from tests.integration.ship_kit import ShipPod, wait_for

Pods = Callable[..., ShipPod]
NOBODY = 65534
BIG = random.Random(7).randbytes(40 << 20)


@pytest.fixture
def pods(s3_server: S3Server, bucket: str) -> Iterator[Pods]:
    # Not tmp_path: other users may not look into that.
    root = Path(tempfile.mkdtemp(prefix="datums-ship-"))
    root.chmod(0o755)
    yield from ship_kit.pods(root, s3_server, bucket)
    shutil.rmtree(root)


@pytest.fixture(params=["as-is", "nobody"])
def pod(request: pytest.FixtureRequest, pods: Pods) -> ShipPod:
    """A pod whose `ship` runs as the test's user, and one whose `ship` runs as nobody."""
    if request.param == "nobody" and os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    return pods(user=NOBODY if request.param == "nobody" else None)


def write(pod: ShipPod, path: str, data: bytes, mode: int = 0o644) -> Path:
    """As main does: by the user that `ship` runs as, too."""
    target = pod.outputs / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)
    if pod.user is not None:
        for made in (target, *target.parents):
            if made == pod.outputs:
                break
            os.lchown(made, pod.user, pod.user)
    return target


def run_to_commit(pod: ShipPod) -> Any:
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.main_ends()
    return pod.committed()


def problems(pod: ShipPod) -> dict[str, str]:
    return {problem.path: problem.message for problem in pod.commit().outputs.problems}


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
    store = pod.server.open(pod.bucket)
    index = msgspec.json.decode(store.get(layout.set_key("datums", "churn", commit.set)), type=SetIndex)
    assert (index.execution, index.commit) == (pod.execution, layout.commit_key(pod.prefix))
    entry = next(entry for entry in pod.entries() if entry.path == "a/b.csv")
    assert entry.datum == str(ids.file_id(commit.set, "a/b.csv", 0, entry.sha256))
    assert entry.location is not None and entry.location.key == f"{pod.prefix}files/a/b.csv"


def test_nothing_written_is_an_empty_commit(pod: ShipPod) -> None:
    assert run_to_commit(pod).outputs.files == 0
    assert pod.entries() == []


def test_the_tail_after_main_is_short(pods: Pods) -> None:
    tails = []
    for _ in range(5):
        pod = pods()
        pod.start()
        pod.main_starts()
        pod.main_was_seen()
        wait_for(lambda pod=pod: "reserved" in pod.journal())
        write(pod, "metrics.json", b"{}")
        pod.main_ends()
        tails.append(pod.committed().timings["committed"])
        pod.close()
    assert sorted(tails)[2] < 0.1, tails


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
    began = time.monotonic()
    pod.processes[-1].terminate()
    assert pod.processes[-1].wait(5) == 0
    assert time.monotonic() - began < 0.5


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


def test_files_are_uploaded_while_main_runs(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    write(pod, "early.bin", b"early")
    wait_for(lambda: '"done"' in pod.journal(), what="the early upload")
    store = pod.server.open(pod.bucket)
    assert store.get(f"{pod.prefix}files/early.bin") == b"early"
    write(pod, "early.bin", b"later")
    pod.main_ends()
    pod.committed()
    assert pod.contents() == {("early.bin", 0): b"later"}, "what lay on disk at the end is the datum"
    assert store.get(f"{pod.prefix}files/early.bin") == b"early", "no key is written twice"


def test_a_file_that_is_open_for_writing_is_not_uploaded_early(pods: Pods) -> None:
    pod = pods()
    pod.start()
    pod.main_starts()
    with (pod.outputs / "train.log").open("wb") as log:
        log.write(b"epoch 1\n")
        log.flush()
        write(pod, "closed", b"1")
        wait_for(lambda: '"done"' in pod.journal())
        time.sleep(0.5)
        assert "train.log" not in pod.journal()
        log.write(b"epoch 2\n")
    pod.main_ends()
    pod.committed()
    assert pod.contents()["train.log", 0] == b"epoch 1\nepoch 2\n"


def test_a_read_only_file_is_taken_away_and_its_name_is_free_again(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    for n in range(3):
        target = write(pod, "ckpt/model.bin", b"epoch %d" % n, 0o444)
        wait_for(lambda target=target: not target.exists(), 3, "the file to be taken away")
    wait_for(lambda: not any((pod.at(podpaths.OUTPUTS_VOLUME) / "taken").iterdir()), what="the space to be free again")
    write(pod, "ckpt/model.bin", b"last")
    pod.main_ends()
    assert pod.committed().outputs.files == 4
    assert pod.contents() == {("ckpt/model.bin", n): data for n, data in enumerate([b"epoch 0", b"epoch 1", b"epoch 2", b"last"])}
    assert len({entry.datum for entry in pod.entries()}) == 4


def test_a_read_only_file_of_another_user_is_kept_until_nobody_can_write_to_it(pods: Pods) -> None:
    """There the kernel does not tell whether it is still open: what is written after it was taken away must not be lost."""
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    pod = pods(user=NOBODY)
    pod.start()
    pod.main_starts()
    with (pod.outputs / "model.bin").open("wb") as stream:
        stream.write(b"first half,")
        stream.flush()
        (pod.outputs / "model.bin").chmod(0o444)
        wait_for(lambda: '"done"' in pod.journal(), what="the early upload")
        stream.write(b"second half")
    pod.main_ends()
    assert pod.committed().outputs.refused == 0
    assert pod.contents() == {("model.bin", 0): b"first half,second half"}


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


def test_a_link_to_a_file_that_was_taken_away(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    target = write(pod, "ckpt-3", b"weights", 0o444)
    wait_for(lambda: not target.exists())
    (pod.outputs / "latest").symlink_to("ckpt-3")
    pod.main_ends()
    pod.committed()
    assert pod.contents() == {("ckpt-3", 0): b"weights", ("latest", 0): b"weights"}


def test_links_that_are_swapped_in_during_the_upload_lead_nowhere(pods: Pods) -> None:
    """Main replaces files and directories by links to what only `ship` may read, as fast as it can."""
    pod = pods()
    secret = pod.at("outside")
    secret.mkdir()
    (secret / "f").write_bytes(b"SECRET")
    (secret / "f").chmod(0o444)
    stop = threading.Event()

    def attack() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            directory, swap = pod.outputs / f"d{n % 8}", pod.outputs / f".swap{n % 8}"
            directory.mkdir(exist_ok=True)
            name = directory / "f"
            name.write_bytes(b"mine")
            name.chmod(0o444)
            if n % 3 == 0:
                directory.rename(pod.outputs / f"old{n}")
                directory.symlink_to(secret)
                time.sleep(0.002)
                directory.unlink()
            elif n % 3 == 1:
                swap.symlink_to(secret / "f")
                swap.rename(name)
                time.sleep(0.002)
            else:
                os.mkfifo(swap)
                swap.rename(name)
                time.sleep(0.002)
            name.unlink(missing_ok=True)

    def attack_on() -> None:
        while not stop.is_set():
            try:
                attack()
            except OSError:  # ship took away what the next step needs
                shutil.rmtree(pod.outputs / "d0", ignore_errors=True)

    pod.start()
    pod.main_starts()
    attacker = threading.Thread(target=attack_on)
    attacker.start()
    time.sleep(3)
    stop.set()
    attacker.join()
    pod.main_ends()
    pod.committed(60)
    found = pod.contents()
    assert found and set(found.values()) == {b"mine"}
    listed = pod.server.open(pod.bucket).list("")
    assert not any(b"SECRET" in pod.server.open(pod.bucket).get(item.key) for item in listed)
    assert (secret / "f").exists()


def test_killed_at_any_moment_it_goes_on(pods: Pods) -> None:
    """40 seeds: SIGKILL at random moments while main writes and after it has ended; one datum per file, bytes identical."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(live_and_die, range(40), [pods() for _ in range(40)]))


def live_and_die(seed: int, pod: ShipPod) -> None:
    rng = random.Random(seed)
    expected: dict[tuple[str, int], bytes] = {}
    pod.start()
    pod.main_starts()
    time.sleep(rng.uniform(0.0, 0.15))
    for n in range(12):
        data = rng.randbytes(rng.choice([0, 10, 100_000]))
        path = f"d{n % 3}/f{n}"
        write(pod, path, data, rng.choice([0o644, 0o444]))
        expected[path, 0] = data
    pod.main_was_seen()
    time.sleep(rng.uniform(0.0, 0.5))
    pod.kill()
    if rng.random() < 0.5:
        pod.start()
        time.sleep(rng.uniform(0.05, 0.3))
        pod.kill()
    pod.main_ends()
    for _ in range(rng.randrange(1, 4)):
        pod.start()
        time.sleep(rng.uniform(0.05, 0.3))
        pod.kill()
    pod.start()
    commit = pod.committed()
    assert pod.contents() == expected, seed
    assert len({entry.datum for entry in pod.entries()}) == len(expected)
    assert commit.outputs.refused == 0, (seed, commit.outputs.problems)
    # No key was written twice: every one that was begun is another one.
    begun = [line for line in pod.journal().splitlines() if '"begin"' in line]
    stored = [item.key for item in pod.server.open(pod.bucket).list(pod.prefix) if "/files/" in item.key or "/again/" in item.key]
    assert len(expected) <= len(stored) <= len(begun)
    pod.close()


def test_killed_after_the_commit_it_adopts_it(pod: ShipPod) -> None:
    write(pod, "f", b"1")
    commit = run_to_commit(pod)
    pod.kill()
    # As if it had died between the commit and its own note of it.
    journal = pod.at(podpaths.STATE) / "journal.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(line for line in lines if "committed" not in line) + '\n{"type":"don')
    pod.at(podpaths.VERDICT).unlink()
    pod.start()
    assert pod.committed() == commit


def test_a_set_that_belongs_to_another_attempt_is_salted_away(pods: Pods) -> None:
    pod = pods()
    other = msgspec.structs.replace(pod.execution, uid="another")
    taken = ids.set_of_attempt(pod.execution.uid, 1)
    index = msgspec.to_builtins(SetIndex(execution=other, commit="elsewhere"))
    pod.server.open(pod.bucket).put(layout.set_key("datums", "churn", taken), msgspec.json.encode(index))
    write(pod, "f", b"1")
    commit = run_to_commit(pod)
    assert commit.set == ids.set_of_attempt(pod.execution.uid, 1, salt=1)
    entry = pod.entries()[0]
    assert entry.datum == str(ids.file_id(commit.set, "f", 0, entry.sha256))


def test_a_store_that_is_down_is_waited_for(pods: Pods) -> None:
    """The port answers nothing, then the real server stands behind it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pod = pods(endpoint=f"http://127.0.0.1:{port}")
    write(pod, "f", b"1")
    with Agent() as agent:
        pod.agent_url = agent.url
        pod.write_secret(pod.server.keys["admin"])
        pod.start()
        pod.main_starts()
        pod.main_was_seen()
        pod.main_ends()
        wait_for(lambda: any("still trying" in report.trouble for report in agent.reports), what="the trouble to be told")
        assert not pod.at(podpaths.VERDICT).exists() and "still trying" in pod.log()
        with Forwarder(port, pod.server.port):
            assert pod.committed(30).outputs.files == 1
            wait_for(lambda: agent.reports[-1].phase == "Committed")
        assert agent.reports[-1].trouble == ""
    assert pod.contents() == {("f", 0): b"1"}


def test_credentials_that_are_refused_are_read_anew(pods: Pods) -> None:
    pod = pods()
    pod.write_secret(pod.server.keys["reader"])
    write(pod, "f", b"1")
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.main_ends()
    wait_for(lambda: "still trying" in pod.log())
    pod.write_secret(pod.server.keys["admin"])
    assert pod.committed().outputs.files == 1
    assert not any(secret in pod.log() for keys in pod.server.keys.values() for secret in keys.values())


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


class Forwarder:
    """Passes connections on to the real server."""

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", port))

    def __enter__(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _run(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with source:
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                return


class Agent:
    """The operator's agent endpoint."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.tokens: set[str] = set()
        self.connections: set[tuple[str, int]] = set()
        agent = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                assert self.path == "/v1/report"
                body = self.rfile.read(int(self.headers["Content-Length"]))
                agent.tokens.add(self.headers["Authorization"])
                agent.connections.add(self.client_address)
                agent.reports.append(msgspec.json.decode(body, type=Report))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Agent:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_progress_is_reported_on_one_connection_and_the_commit_promptly(pods: Pods) -> None:
    pod = pods()
    with Agent() as agent:
        pod.agent_url = agent.url
        pod.write_secret(pod.server.keys["admin"])
        pod.start()
        pod.main_starts()
        wait_for(lambda: agent.reports)
        url = podpaths.status_detail_url(pod.execution.uid)
        request = urllib.request.Request(url, b'{"status_detail": "epoch 3"}', {"Content-Type": "application/json"})
        wait_for(lambda: _answers(request))
        wait_for(lambda: agent.reports[-1].status_detail == "epoch 3")
        write(pod, "f", b"123")
        pod.main_ends()
        commit = pod.committed()
        wait_for(lambda: agent.reports[-1].phase == "Committed", 1)
        assert time.time() - commit.main_ended_at < 0.5
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
