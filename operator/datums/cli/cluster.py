"""The way to a cluster, for commands that people call: the same flags everywhere, errors as sentences."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

if TYPE_CHECKING:
    from datums.control.kube import Kube

T = TypeVar("T")

FAILED: Final = 1
"""Exit code: what was asked for cannot be had."""
MISUSED: Final = 2
"""Exit code: the arguments do not fit."""
_INTERRUPTED: Final = 130


class Problem(Exception):
    """What is wrong, as a sentence, and the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that kubectl has, too."""
    group = parser.add_argument_group("which cluster")
    group.add_argument("-n", "--namespace", default="", help="the project; that of the kubeconfig's context by default")
    group.add_argument(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="by default $KUBECONFIG; without it in a pod the pod's service account, elsewhere ~/.kube/config",
    )
    group.add_argument("--context", default="", help="of the kubeconfig; its current one by default")


def ask(given: argparse.Namespace, fn: Callable[[Kube, str], Awaitable[T]]) -> T:
    """The result of `fn(kube, namespace)`, with the caller's own rights.

    Args:
        given: has the flags of `add_arguments`.

    Raises:
        Problem: the cluster cannot be reached, or refuses.
    """
    try:
        from datums.control.kube import Kube, KubeError  # noqa: PLC0415  what works without a cluster does without it
    except ImportError as error:
        raise Problem(
            f"{error.name} is not installed, which speaks to the API server: pip install 'datums-operator[operator]'"
        ) from None

    async def run() -> T:
        async with await Kube.connect(given.kubeconfig, context=given.context) as kube:
            return await fn(kube, given.namespace or kube.namespace)

    try:
        return asyncio.run(run())
    except KubeError as error:
        raise Problem(str(error)) from None


def guarded(command: str, fn: Callable[[], int]) -> int:
    """The exit code of a command: whatever `fn` returns, or that of a problem, whose sentence goes to standard error."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return fn()
    except Problem as problem:
        print(f"{command}: {problem}", file=sys.stderr)
        return problem.code
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough; Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
