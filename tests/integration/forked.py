"""`fetch` and `ship` as processes of their own, forked from one that has imported them already: a run starts in milliseconds, so
that hundreds of them fit into a test. What they do from `main` on is what they do in a pod.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([
    __name__, "datums.transfer.fetch", "datums.transfer.ship", "datums.transfer.shipment", "datums.transfer.download",
    "datums.transfer.fetch_resolve", "datums.stores.s3", "pycurl",
])  # fmt: skip


# Starting a process asks all others for their exit codes, each of which can be read once: by one thread at a time.
_LOCK = threading.Lock()


class Forked:
    """A process, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        with _LOCK:
            process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        with _LOCK:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code.

        Raises:
            TimeoutError: it still runs.
        """
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        return code

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.poll() is None:
            self.send_signal(number)


def start(
    program: str,
    root: Path,
    *,
    log: Path,
    constants: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    limits: Sequence[tuple[int, int]] = (),
) -> Forked:
    """Starts the program's `main` below a directory.

    Args:
        program: its module, `datums.transfer.fetch` or `datums.transfer.ship`.
        log: where its output is appended.
        constants: `module:NAME` → what it is in this process.
        limits: of `setrlimit`, such as `(RLIMIT_NOFILE, 64)`.
    """
    arguments = (program, str(root), str(log), dict(constants or {}), dict(environment or {}), list(limits))
    return Forked(_CONTEXT.Process(target=_run, args=arguments, daemon=True))


def _run(
    program: str, root: str, log: str, constants: dict[str, Any], environment: dict[str, str], limits: list[tuple[int, int]]
) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
    os.environ.update({"DATUMS_ROOT": root} | environment)
    for place, value in constants.items():
        module, _, name = place.partition(":")
        there = importlib.import_module(module)
        getattr(there, name)  # it must exist: else nothing would be tested
        setattr(there, name, value)
    for which, limit in limits:
        resource.setrlimit(which, (limit, limit))
    code: Any = 70
    try:
        code = importlib.import_module(program).main()
    except BaseException:  # noqa: BLE001  shown in the log; a process ends here as it would by itself
        import traceback

        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)
