"""`datums ls LINK`: the files that a link leads to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from datums.cli.cluster import Problem, guarded
from datums.cli.links import HELP, add_link_arguments, find
from datums.cli.transfers import sentences
from datums.stores.retrying import RetryingStore
from datums.transfer.copy import MemoryLines
from datums.transfer.look import Seen, first_answer, look

_PROG: Final = "datums ls"
_EPILOG: Final = f"""\
Columns: size in bytes, time (UTC), SHA-256 where it is known ('-' elsewhere: an object store does not tell it), and the
file: the path of a datum, the key of an object. A file in a pack is listed under its own key, as if it were an object. A
link that ends in a slash lists all below it.

{HELP}
Exit code: 0; 1 there is nothing, or it cannot be read; 2 wrong arguments.

Examples:
  datums ls datum://018f3c5e-…                  the files of a bundle
  datums ls 's3://data/raw/**' -o json          one JSON object a line, with links and whole digests
  datums ls --anonymous gs://gcp-public-data-landsat/index.csv.gz
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Lists the files that a link leads to.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_link_arguments(parser)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="table by default")
    given = parser.parse_args(argv)
    return guarded(_PROG, lambda: _list(given))


def _list(given: argparse.Namespace) -> int:
    if given.link.endswith("/"):
        given.link += "**"
    found = find(given)
    lines = MemoryLines(found.plan.stores, found.credentials)
    count = 0
    with sentences():
        first_answer(found.source, lines.store)
        for seen in look(found.plan, found.source, lambda name: RetryingStore(lines.store(name))):
            count += 1
            print(_json(seen) if given.output == "json" else _row(seen))
    sys.stdout.flush()
    if not count:
        raise Problem(f"{given.link} leads to nothing")
    return 0


def _row(seen: Seen) -> str:
    size = f"{seen.size}" if seen.size >= 0 else "-"
    # A control character in a key must not act on the terminal.
    path = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in seen.path)
    return f"{size:>14}  {_time(seen.modified) or '-':<20}  {seen.sha256[:12] or '-':<12}  {path}"


def _json(seen: Seen) -> str:
    told = {
        "path": seen.path,
        "link": seen.link,
        "size": seen.size if seen.size >= 0 else None,
        "modified": _time(seen.modified) or None,
        "sha256": seen.sha256 or None,
        "datum": seen.datum or None,
    }
    return msgspec.json.encode(told).decode()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""
