"""The command `datums`. Subcommands are imported when they are called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

_COMMANDS: Final = {
    "store": ("try what a DataStore can do, what it refuses and how fast it is", "datums.cli.store"),
    "ls": ("list the files that a link leads to", "datums.cli.ls"),
    "cp": ("load what a link leads to, verified", "datums.cli.cp"),
    "operator": ("run the operator", "datums.cli.operator"),
}
"""Name → (what it does, the module whose `main(argv)` does it)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a subcommand; returns its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="datums",
        description="Runs executions on Kubernetes and versions every file that they load or save.",
        epilog="`datums <command> --help` tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"datums {version('datums-operator')}")
    commands = parser.add_subparsers(dest="command", metavar="<command>", required=True)
    for name, (summary, _) in _COMMANDS.items():
        # Its arguments and its help are its own: only the module knows them.
        commands.add_parser(name, help=summary, add_help=False)
    if not given:
        parser.print_help()
        return 0
    known, _ = parser.parse_known_args(given[:1])
    module = importlib.import_module(_COMMANDS[known.command][1])
    code: int = module.main(given[1:])
    return code
