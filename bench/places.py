"""Where transfers are measured, and with which files at each place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from bench.peers import Rclone
from bench.servers import Certificates, Server, azure, gcs, line, null_server, seaweed
from bench.workloads import Workload

_CPU_IS_THE_LIMIT: Final = 0.85


@dataclass(frozen=True)
class Place:
    """A server and the way to it."""

    name: str
    title: str
    open: Callable[[Certificates], AbstractContextManager[Server]]
    works: tuple[str, ...]
    more: tuple[str, ...] = ()
    """Workloads that are measured with `--full` only."""
    rounds: int = 2
    boto3: tuple[str, ...] = ()
    """Workloads that boto3 moves too, once: it takes ten times as long with small files."""
    workers: int = 32
    """Requests that each tool has in flight with small files: more where each takes its time."""
    waits_for_network: bool = False
    """Whether the line and not the CPU is the limit."""

    def workloads(self, *, full: bool) -> list[Workload]:
        return [Workload(name) for name in (*self.works, *(self.more if full else ()))]

    def target(self, work: Workload, busy: float) -> float:
        """The most that our time may be, in times of the fastest peer's.

        Args:
            busy: the share of all cores that worked. A line without a limit of rate is not the limit of large files: the cores are.
        """
        if work.is_small:
            return 1.0
        return 1.03 if self.waits_for_network and busy < _CPU_IS_THE_LIMIT else 1.5


@contextlib.contextmanager
def _null(tls: Certificates) -> Iterator[Server]:
    with null_server() as server:
        yield server


@contextlib.contextmanager
def _null_tls(tls: Certificates) -> Iterator[Server]:
    with null_server(tls) as server:
        yield server


@contextlib.contextmanager
def _seaweed(tls: Certificates) -> Iterator[Server]:
    with seaweed(tls) as (plain, _):
        yield plain


@contextlib.contextmanager
def _seaweed_tls(tls: Certificates) -> Iterator[Server]:
    with seaweed(tls) as (_, secure):
        yield secure


@contextlib.contextmanager
def _gcs(tls: Certificates) -> Iterator[Server]:
    with gcs() as server:
        yield server


@contextlib.contextmanager
def _azure(tls: Certificates) -> Iterator[Server]:
    with azure() as server:
        Rclone("rclone").make_bucket(server)
        yield server


def _line(*, delay_ms: float = 0, rate: float = 0) -> Callable[[Certificates], AbstractContextManager[Server]]:
    @contextlib.contextmanager
    def opened(tls: Certificates) -> Iterator[Server]:
        with null_server() as server, line(server, delay_ms=delay_ms, rate=rate) as near:
            yield near

    return opened


SMALL, MANY, MIDDLE, LARGE = "4000x10KiB", "20000x10KiB", "200x10MiB", "1x2GiB"
PLACES: Final = (
    Place("null", "null server", _null, (SMALL, MANY, MIDDLE, LARGE), rounds=3, boto3=(SMALL, MIDDLE, LARGE)),
    Place("null-tls", "null server, TLS", _null_tls, (SMALL, MIDDLE, LARGE), (MANY,), boto3=(MIDDLE, LARGE)),
    Place("seaweed", "SeaweedFS", _seaweed, (SMALL, MIDDLE, LARGE), (MANY,), boto3=(MIDDLE,)),
    Place("seaweed-tls", "SeaweedFS, TLS", _seaweed_tls, (SMALL, MIDDLE), (MANY, LARGE)),
    Place("30ms", "30 ms", _line(delay_ms=30), (SMALL, MIDDLE, LARGE), (MANY,), workers=128, waits_for_network=True),
    Place("gcs", "fake-gcs-server", _gcs, ("1000x10KiB", "20x10MiB"), (SMALL,)),
    Place("azure", "Azurite", _azure, ("1000x10KiB", "20x10MiB"), (SMALL,)),
    Place(
        "50MB",
        "50 MB/s",
        _line(rate=50e6),
        (SMALL, "20x10MiB", "1x256MiB"),
        (MANY, MIDDLE, LARGE),
        workers=64,
        waits_for_network=True,
    ),
    Place(
        "1Gbit",
        "1 Gbit/s",
        _line(rate=125e6),
        (SMALL, "40x10MiB", "1x512MiB"),
        (MANY, MIDDLE, LARGE),
        workers=64,
        waits_for_network=True,
    ),
)
QUICK: Final = {SMALL: "1000x10KiB", MANY: "4000x10KiB", MIDDLE: "20x10MiB", LARGE: "1x256MiB"}
"""What `--quick` moves instead."""
