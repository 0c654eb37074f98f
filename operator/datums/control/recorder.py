"""Kubernetes Events: best effort, in the background, the same one counted up instead of written again."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from datums.api.names import FIELD_MANAGER
from datums.control.kube import EVENTS, AlreadyExists, Kube, KubeError, NotFound, Obj

log = logging.getLogger(__name__)

MAX_MESSAGE: Final = 1024
_REMEMBERED: Final = 2048
_WAITING: Final = 256

EventType = Literal["Normal", "Warning"]


class _Said(NamedTuple):
    about: Obj
    type: EventType
    reason: str
    message: str
    at: str


class Recorder:
    """Writes Events about objects. `event` returns at once; what the API server does not take in time is dropped and counted."""

    def __init__(self, kube: Kube, instance: str, dropped: Callable[[], None]) -> None:
        """
        Args:
            instance: who reports, for people: the operator's pod.
            dropped: called for each Event that is lost.
        """
        self._kube, self._instance, self._dropped = kube, instance, dropped
        self._waiting: asyncio.Queue[_Said] = asyncio.Queue(_WAITING)
        self._counts: OrderedDict[str, int] = OrderedDict()

    def event(self, obj: Mapping[str, Any], type: EventType, reason: str, message: str) -> None:
        """Says something about an object.

        Args:
            obj: needs apiVersion, kind and metadata.
            reason: one word for programs.
            message: a sentence for people; cut at `MAX_MESSAGE` characters.
        """
        meta = obj["metadata"]
        about = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta.get("uid", ""),
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        said = _Said(about, type, reason, bounded(message), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        try:
            self._waiting.put_nowait(said)
        except asyncio.QueueFull:
            self._dropped()

    async def run(self) -> None:
        """Writes what is said, until cancelled."""
        while True:
            said = await self._waiting.get()
            try:
                await self._write(said)
            except KubeError as error:
                self._dropped()
                log.debug("event not written: %s", error)
            finally:
                self._waiting.task_done()

    async def flush(self, seconds: float) -> None:
        """Waits until all that was said is written, at most so long."""
        try:
            await asyncio.wait_for(self._waiting.join(), seconds)
        except TimeoutError:
            log.debug("events were left unwritten at the end")

    async def _write(self, said: _Said) -> None:
        name = event_name(said.about, said.type, said.reason, said.message)
        namespace = said.about["namespace"]
        count = self._counts.get(name, 0) + 1
        if count > 1:
            try:
                await self._kube.patch(EVENTS, namespace, name, {"count": count, "lastTimestamp": said.at})
                self._remember(name, count)
                return
            except NotFound:
                # Events expire after an hour.
                count = 1
        try:
            await self._kube.create(EVENTS, namespace, self._body(name, said))
        except AlreadyExists:
            # Said by the process before this one.
            before = await self._kube.get(EVENTS, namespace, name)
            count = int(before.get("count") or 1) + 1
            await self._kube.patch(EVENTS, namespace, name, {"count": count, "lastTimestamp": said.at})
        self._remember(name, count)

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)

    def _body(self, name: str, said: _Said) -> Obj:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": said.about["namespace"]},
            "involvedObject": said.about,
            "type": said.type,
            "reason": said.reason,
            "message": said.message,
            "count": 1,
            "firstTimestamp": said.at,
            "lastTimestamp": said.at,
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "reportingInstance": self._instance,
        }


def event_name(about: Mapping[str, Any], type: str, reason: str, message: str) -> str:
    """The name of an Event: the same for the same words about the same object, at most 253 characters."""
    digest = hashlib.sha256("\0".join((about["uid"], type, reason, message)).encode()).hexdigest()[:16]
    return f"{about['name'][:236].rstrip('.-')}.{digest}"


def bounded(message: str) -> str:
    """The message, at most `MAX_MESSAGE` characters; both ends are kept, for they name the object and the cure."""
    if len(message) <= MAX_MESSAGE:
        return message
    half = (MAX_MESSAGE - 3) // 2
    return f"{message[:half]} … {message[-half:]}"
