"""Main's and gate's shell, really run: with the static busybox and tini, in a PID namespace of their own where they are PID 1."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from datums.model.podcommands import gate_command, main_command

BUSYBOX, TINI = Path("/bin/busybox"), Path("/usr/bin/tini-static")
# In a namespace of its own, or `kill -KILL -1` would reach the machine.
NAMESPACE = [
    "unshare",
    *([] if os.geteuid() == 0 else ["--map-root-user"]),
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--",
]


def _missing() -> str:
    if not (BUSYBOX.exists() and TINI.exists()):
        return "busybox-static and tini are not installed"
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        return "this machine lets us make no PID namespace"
    return ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "-")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    shutil.copy(BUSYBOX, tmp_path / "busybox")
    shutil.copy(TINI, tmp_path / "tini-static")
    for name in ("lifeline", "stop", "gate"):
        os.mkfifo(tmp_path / name)
    return tmp_path


def start(command: list[str], **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen([*NAMESPACE, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def read_lifeline(fd: int) -> bytes | None:
    """Data, b"" when no writer is left, None while one lives."""
    try:
        return os.read(fd, 64)
    except BlockingIOError:
        return None


def wait_for(condition, seconds: float = 5.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


@pytest.mark.parametrize("code", [0, 3])
def test_main_exits_as_the_command_does_and_keeps_its_words_and_environment(run: Path, code: int) -> None:
    command = f"""echo "it's" 'a "b"' $HOME; env | sort; exit {code}"""
    env = {"HOME": "/h o", "PATH": "/usr/bin:/bin"}
    out, err = (process := start(main_command(command, str(run)), env=env)).communicate(timeout=10)
    assert process.returncode == code and err == ""
    lines = out.splitlines()
    assert lines[0] == """it's a "b" /h o"""
    assert {line.split("=")[0] for line in lines[1:]} <= {"HOME", "PATH", "PWD", "SHLVL", "OLDPWD", "_"}


def test_the_lifeline_says_started_then_closes_with_main(run: Path) -> None:
    lifeline = os.open(run / "lifeline", os.O_RDONLY | os.O_NONBLOCK)
    assert read_lifeline(lifeline) == b"", "nobody has opened it yet"
    process = start(main_command("read line; exit 5", str(run)), stdin=subprocess.PIPE)
    assert wait_for(lambda: read_lifeline(lifeline)) == b"started\n"
    assert read_lifeline(lifeline) is None
    process.communicate("go\n", timeout=10)
    assert read_lifeline(lifeline) == b"" and process.returncode == 5
    os.close(lifeline)


def test_the_lifeline_closes_when_main_is_killed_with_children_in_the_background(run: Path) -> None:
    lifeline = os.open(run / "lifeline", os.O_RDONLY | os.O_NONBLOCK)
    process = start(main_command("sleep 300 & kill -KILL $$", str(run)))
    assert wait_for(lambda: read_lifeline(lifeline)) == b"started\n"
    wait_for(lambda: read_lifeline(lifeline) == b"")
    process.communicate(timeout=10)
    assert process.returncode == 137
    os.close(lifeline)


def stop(run: Path, grace: float) -> None:
    with (run / "stop").open("w") as fifo:
        fifo.write(f"{grace}\n")


def test_stop_lets_the_command_end_by_itself(run: Path) -> None:
    process = start(main_command("trap 'echo saved; exit 7' TERM; echo up; while :; do sleep 0.05; done", str(run)))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    stop(run, 30)
    out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == ("saved\n", 7)


def test_stop_kills_what_ignores_it_after_the_grace(run: Path) -> None:
    process = start(main_command("trap '' TERM; (trap '' TERM; sleep 300) & echo up; while :; do sleep 0.05; done", str(run)))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    began = time.monotonic()
    stop(run, 1)
    process.communicate(timeout=10)
    assert process.returncode == 137
    assert 1.0 <= time.monotonic() - began < 5


def test_an_image_without_a_shell(run: Path) -> None:
    root = run / "root"
    (root / "run").mkdir(parents=True)
    for name in ("busybox", "tini-static"):
        shutil.copy(run / name, root / "run" / name)
    os.mkfifo(root / "run" / "lifeline")
    os.mkfifo(root / "run" / "stop")
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    command = ["chroot", str(root), *main_command("echo no shell here; exit 4", "/run")]
    done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    # tini notes on stderr that it is not PID 1 here; that is this test's doing.
    assert (done.stdout, done.returncode) == (b"no shell here\n", 4)


def test_gate_is_deaf_to_sigterm_and_leaves_the_verdict(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    gate = subprocess.Popen(gate_command(str(run), str(log)))
    fifo = os.open(run / "gate", os.O_RDWR | os.O_NONBLOCK)
    os.write(fifo, b"forged by main\n")
    time.sleep(0.1)
    gate.terminate()
    time.sleep(0.1)
    assert gate.poll() is None, "no verdict yet: it stays"
    (run / "verdict").write_bytes(b'{"committed":true}')
    os.write(fifo, b"done\n")
    assert gate.wait(5) == 0
    assert log.read_bytes() == b'{"committed":true}'
    os.close(fifo)


def test_a_gate_that_comes_late_finds_the_verdict(run: Path, tmp_path: Path) -> None:
    (run / "verdict").write_bytes(b'{"committed":true}')
    subprocess.run(gate_command(str(run), str(tmp_path / "log")), timeout=5, check=True)
    assert (tmp_path / "log").read_bytes() == b'{"committed":true}'
