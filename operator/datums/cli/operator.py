"""`datums operator`: runs the operator until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence

from datums.control import logs
from datums.control.app import StartError, operate
from datums.control.kube import KubeError
from datums.control.leader import LeaseLost
from datums.control.settings import Settings, SettingsError, documented, flag, load, unknown, variable

log = logging.getLogger("datums")


def main(argv: Sequence[str]) -> int:
    """Runs the operator. Does not return: the process ends here, without waiting for threads that hang in a store.

    Its exit code is 0 after SIGTERM or SIGINT, 1 where the operator could not go on (and should be started again), 2 for wrong
    settings.
    """
    try:
        settings = load(os.environ, vars(_parser().parse_args(argv)))
    except SettingsError as error:
        print(f"datums operator: {error}", file=sys.stderr)
        return 2
    logs.set_up(settings.log_level, settings.log_format)
    for name in unknown(os.environ):
        log.warning("%s is no setting of the operator and is ignored; `datums operator --help` lists all", name)
    code = asyncio.run(_run(settings))
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)


async def _run(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    try:
        await operate(settings, stop)
    except (KubeError, LeaseLost, StartError, OSError) as error:
        log.error("the operator ends: %s", error)
        return 1
    except Exception:
        log.exception("the operator ends: unexpected error")
        return 1
    log.info("the operator ends as it was asked to")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="datums operator",
        description="Runs the operator. Each setting is a flag or an environment variable; the flag wins. Times are in seconds.",
    )
    for name, default, doc in documented():
        told = f"{doc} [{variable(name)}{f', default {default}' if default else ''}]"
        parser.add_argument(flag(name), dest=name, metavar="VALUE", help=told.replace("%", "%%"))
    return parser
