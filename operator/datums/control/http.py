"""The operator's two ports: how it does (`/healthz`, `/readyz`, `/metrics`), and where pods report."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from datums.control.metrics import CONTENT_TYPE, Metrics


def health(alive: Callable[[], str], ready: Callable[[], str], metrics: Metrics) -> web.Application:
    """The application of the metrics port.

    Args:
        alive: an empty string, or a sentence that says why the process should be ended.
        ready: an empty string, or a sentence that says what is awaited.
    """

    def answer(trouble: str) -> web.Response:
        return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)

    async def healthz(_: web.Request) -> web.Response:
        return answer(alive())

    async def readyz(_: web.Request) -> web.Response:
        return answer(ready())

    async def exposition(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", exposition)])
    return app


class Listener:
    """An application on a port."""

    def __init__(self, app: web.Application, address: str, port: int) -> None:
        self._runner = web.AppRunner(app, access_log=None)
        self._address, self._port = address, port

    @property
    def port(self) -> int:
        """The port that it listens on: the one asked for, or the one that was free where 0 was asked for."""
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Begins to listen.

        Raises:
            OSError: the port is taken.
        """
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address or None, self._port).start()

    async def stop(self) -> None:
        """Ends; requests in flight get a moment."""
        await self._runner.cleanup()
