"""One leader among the replicas, by a Lease.

A record is judged by how long it has stayed the same on our own clock, never by the times in it: clocks of nodes differ.
Every write is a compare-and-set on the resource version, so two replicas cannot both win.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from datums.api.names import LABEL_MANAGED_BY, MANAGED_BY
from datums.control.kube import LEASES, AlreadyExists, Conflict, Kube, KubeError, NotFound, Obj

log = logging.getLogger(__name__)

Decision: TypeAlias = Literal["create", "take", "wait"]
RELEASE_SECONDS: Final = 3.0


class LeaseLost(Exception):
    """Another replica leads, or may lead by now: this process must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """Seconds: a silent leader keeps the Lease for `lease`, gives up itself after `renew`, and looks every `retry`."""

    lease: float
    renew: float
    retry: float


def decide(lease: Obj | None, identity: str, unchanged_for: float) -> Decision:
    """What one who wants to lead does next.

    Args:
        lease: the Lease as it is; None where there is none.
        identity: ours. A Lease in our own name is that of a process before us in the same pod, which has ended.
        unchanged_for: seconds since we first saw this version of it.
    """
    if lease is None:
        return "create"
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder in ("", identity):
        return "take"
    return "take" if unchanged_for >= float(spec.get("leaseDurationSeconds") or 0) else "wait"


class Elector:
    """Gets, keeps and releases the Lease: `acquire`, then `hold` until it raises, then `release`."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        *,
        times: LeaseTimes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube, self._namespace, self._name, self._times = kube, namespace, name, times
        self._identity = ""
        self._clock = clock
        self._version = ""
        self._renewed = 0.0
        self.last_look = clock()
        """When the Lease was last read or written (`clock`), or when we began."""
        self.looked = False
        """Whether it was read at all."""

    def leads(self) -> bool:
        """Whether no other replica can have the Lease by now: ask before each piece of work."""
        return bool(self._version) and self._clock() - self._renewed < self._times.lease

    async def acquire(self, identity: str) -> None:
        """Waits until the Lease is ours.

        Args:
            identity: who we are; a Lease that is held by the same one is ours at once.
        """
        self._identity = identity
        seen, since = "", self._clock()
        while True:
            try:
                lease = await self._read()
                version = lease["metadata"]["resourceVersion"] if lease else ""
                now = self.last_look = self._clock()
                self.looked = True
                if version != seen:
                    seen, since = version, now
                if decide(lease, self._identity, now - since) != "wait":
                    await self._take(lease)
                    log.info("leading: took the Lease %s/%s", self._namespace, self._name)
                    return
            except (Conflict, AlreadyExists):
                log.debug("another replica was faster")
            except KubeError as error:
                log.warning("cannot get the Lease: %s", error)
            await asyncio.sleep(self._times.retry)

    async def hold(self) -> None:
        """Renews the Lease until it is lost.

        Raises:
            LeaseLost: another replica has it, or it could not be renewed in time.
        """
        while True:
            await asyncio.sleep(self._times.retry)
            left = self._renewed + self._times.renew - self._clock()
            trouble = "no answer in time"
            try:
                # The time counts from before the request: the others count from when it is written.
                started = self._clock()
                # HAZARD: before Python 3.12 `wait_for` loses a cancellation that comes as the answer does.
                async with asyncio.timeout(max(left, 0.0)):
                    await self._write({"renewTime": _now()})
                self._renewed = self.last_look = started
                continue
            except (Conflict, NotFound) as error:
                await self._confirm(error)
            except TimeoutError:
                pass
            except KubeError as error:
                trouble = str(error)
            if self._clock() - self._renewed >= self._times.renew:
                self._version = ""
                raise LeaseLost(f"the Lease {self._namespace}/{self._name} was not renewed for {self._times.renew:g} s: {trouble}")
            log.warning("cannot renew the Lease, trying on: %s", trouble)

    async def release(self) -> None:
        """Lets the next one lead at once; best effort."""
        if not self._version:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._write({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()})
            log.info("released the Lease")
        except (KubeError, TimeoutError) as error:
            log.warning("the Lease was not released, the next leader waits for its end: %s", error)
        self._version = ""

    async def _read(self) -> Obj | None:
        try:
            return await self._kube.get(LEASES, self._namespace, self._name)
        except NotFound:
            return None

    async def _take(self, lease: Obj | None) -> None:
        started = self._clock()
        before = (lease or {}).get("spec") or {}
        spec: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._times.lease)),
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (1 if lease else 0),
        }
        if lease is None:
            meta = {"name": self._name, "namespace": self._namespace, "labels": {LABEL_MANAGED_BY: MANAGED_BY}}
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": spec}
            lease = await self._kube.create(LEASES, self._namespace, body)
            self._version = lease["metadata"]["resourceVersion"]
        else:
            await self._write(spec, lease["metadata"]["resourceVersion"])
        self._renewed = started

    async def _write(self, spec: Obj, version: str = "") -> None:
        patch = {"metadata": {"resourceVersion": version or self._version}, "spec": spec}
        written = await self._kube.patch(LEASES, self._namespace, self._name, patch)
        self._version = written["metadata"]["resourceVersion"]

    async def _confirm(self, error: KubeError) -> None:
        """After a refused renewal: an answer of ours that got lost, or somebody's edit, changes the version too."""
        try:
            async with asyncio.timeout(self._times.retry):
                lease = await self._read()
        except (KubeError, TimeoutError):
            return
        holder = ((lease or {}).get("spec") or {}).get("holderIdentity") or ""
        if lease is None or holder != self._identity:
            self._version = ""
            raise LeaseLost(f"the Lease {self._namespace}/{self._name} is held by {holder or 'nobody'}: {error}") from None
        self._version = lease["metadata"]["resourceVersion"]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
