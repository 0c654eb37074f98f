"""The command `datums` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.integration.s3_fixture import S3Server

DATUMS = Path(sys.executable).with_name("datums")


class Done(NamedTuple):
    """How it ended."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    """Nothing of the machine's own, which may have clusters and credentials."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "120"} | more


def aws(server: S3Server, who: str = "admin") -> dict[str, str]:
    """What the AWS tools would be given."""
    return {**server.keys[who], "AWS_ENDPOINT_URL": server.endpoint}


def datums(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, secrets: tuple[str, ...] = ()) -> Done:
    """Runs it to its end.

    Args:
        env: besides the little that every process needs.
        secrets: must not be in anything that it says.
    """
    done = subprocess.run(
        [DATUMS, *arguments], env=environment(**(env or {})), cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    for secret in (*secrets, *(value for name, value in (env or {}).items() if "SECRET" in name)):
        assert secret not in done.stdout + done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


async def datums_beside(*arguments: str, env: Mapping[str, str] | None = None, secrets: tuple[str, ...] = ()) -> Done:
    """The same, from a test that runs in an event loop."""
    return await asyncio.to_thread(datums, *arguments, env=env, secrets=secrets)


@contextmanager
def begun(*arguments: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Starts it; at the end it is gone."""
    process = subprocess.Popen(
        [DATUMS, *arguments], env=environment(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> Done:
    """Ends it by a signal."""
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    return Done(process.returncode, out, err)
