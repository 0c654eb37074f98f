"""Where pods report their progress: `POST /v1/report`, with a service-account token that is bound to the pod.

Whose report it is follows from the token alone (TokenReview). Nothing but shown progress, and how soon a commit is noticed,
depends on it: a wrong report can mislead nobody but the reader of its own execution's status.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from aiohttp import web
from msgspec.structs import replace

from datums.api.names import AUDIENCE
from datums.control.kube import EXECUTIONS, TOKENREVIEWS, Kube, KubeError, Obj
from datums.control.queue import Key
from datums.control.services import Services
from datums.model.commit import Report

PATH: Final = "/v1/report"
MAX_BODY: Final = 16 * 1024
_MAX_TEXT: Final = 1024
_MAX_TOKEN: Final = 8 * 1024
_REMEMBERED: Final = 4096
_GOOD_FOR: Final = 300.0
_BAD_FOR: Final = 10.0
_AT_ONCE: Final = 8
_IN_LINE: Final = 64
_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"
_USER: Final = "system:serviceaccount:"


class Sender(NamedTuple):
    """The pod that a token is bound to."""

    namespace: str
    name: str
    uid: str


class Busy(Exception):
    """Too many unknown tokens at once."""


class Reviewer:
    """Says whose a token is; answers are remembered, under the token's digest."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._clock = kube, clock
        self._known: OrderedDict[bytes, tuple[Sender | None, float]] = OrderedDict()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._in_line = 0

    async def sender(self, token: str) -> Sender | None:
        """The pod of a token; None if it is not valid for us or not bound to a pod.

        Raises:
            Busy: ask again later.
            KubeError: the API server did not answer.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known[1] > self._clock():
            return known[0]
        if self._in_line >= _IN_LINE:
            raise Busy
        self._in_line += 1
        try:
            async with self._gate:
                review: Obj = {
                    "apiVersion": TOKENREVIEWS.api_version,
                    "kind": TOKENREVIEWS.kind,
                    "spec": {"token": token, "audiences": [AUDIENCE]},
                }
                sender = reviewed(await self._kube.create(TOKENREVIEWS, None, review))
        finally:
            self._in_line -= 1
        self._known[digest] = (sender, self._clock() + (_GOOD_FOR if sender else _BAD_FOR))
        self._known.move_to_end(digest)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return sender


def reviewed(review: Obj) -> Sender | None:
    """The pod that an answered TokenReview speaks of."""
    status = review.get("status") or {}
    user = status.get("user") or {}
    username = str(user.get("username") or "")
    if not status.get("authenticated") or AUDIENCE not in (status.get("audiences") or ()) or not username.startswith(_USER):
        return None
    extra = user.get("extra") or {}
    names: list[str] = extra.get(_POD_NAME) or []
    uids: list[str] = extra.get(_POD_UID) or []
    if len(names) != 1 or len(uids) != 1:
        return None
    return Sender(username.removeprefix(_USER).split(":", 1)[0], names[0], uids[0])


class Agent:
    """The endpoint. Answers 503 unless `leads()`."""

    def __init__(self, services: Services, leads: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._services, self._leads, self._clock = services, leads, clock
        self._reviewer = Reviewer(services.kube, clock)

    def application(self) -> web.Application:
        """The application of the agent port."""
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes([web.post(PATH, self._report)])
        return app

    async def _report(self, request: web.Request) -> web.Response:
        status, message = await self._answer(request)
        self._services.metrics.count_report("accepted" if status == 204 else str(status))
        if status == 204:
            return web.Response(status=204)
        return web.Response(status=status, text=f"{message}\n", headers={"Retry-After": "2"} if status == 503 else None)

    async def _answer(self, request: web.Request) -> tuple[int, str]:
        if not self._leads():
            return 503, "this replica is not the leader"
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
            return 401, f"send a service-account token for audience {AUDIENCE} as Authorization: Bearer"
        try:
            sender = await self._reviewer.sender(token)
        except (Busy, KubeError):
            return 503, "the token cannot be reviewed now"
        if sender is None:
            return 401, f"the token is not valid for audience {AUDIENCE}, or not bound to a pod"
        if self._services.cache.pods.named(sender.uid) != (sender.namespace, sender.name):
            return 403, f"pod {sender.namespace}/{sender.name} is not a pod of an execution"
        try:
            report = checked(msgspec.json.decode(await request.read(), type=Report))
        except web.HTTPRequestEntityTooLarge:
            return 413, f"a report has at most {MAX_BODY} bytes"
        except (msgspec.MsgspecError, ValueError) as error:
            return 400, f"not a report: {error}"
        self._take(sender, report)
        return 204, ""

    def _take(self, sender: Sender, report: Report) -> None:
        progress, now = self._services.progress, self._clock()
        before = progress.get(sender.uid)
        progress[sender.uid] = (report, now)
        owner = self._services.cache.pods.owner((sender.namespace, sender.name))
        if owner is None:
            return
        key = Key(EXECUTIONS.kind, sender.namespace, owner.name)
        if before is None or (before[0].phase, bool(before[0].trouble)) != (report.phase, bool(report.trouble)):
            self._services.queue.add(key)
        else:
            # The earliest of several delays counts: once a second, however often a pod reports.
            self._services.queue.add_after(key, 1.0)


def checked(report: Report) -> Report:
    """The report, with texts cut to what a status can show.

    Raises:
        ValueError: a number that cannot be.
    """
    for name in ("files", "bytes", "total_files", "total_bytes", "rate"):
        if not 0 <= getattr(report, name) < 2**63:
            raise ValueError(f"{name} is {getattr(report, name)}")
    detail = report.status_detail
    return replace(report, trouble=report.trouble[:_MAX_TEXT], status_detail=detail[:_MAX_TEXT] if detail is not None else None)
