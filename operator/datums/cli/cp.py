"""`datums cp LINK PATH`: loads what a link leads to, as `fetch` does in a pod."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

from msgspec import structs

from datums.cli.cluster import FAILED, Problem, guarded
from datums.cli.links import HELP, add_link_arguments, find
from datums.cli.transfers import amount, sentences, shown
from datums.model.plan import InputPlan
from datums.transfer.copy import INPUT, CopyError, Destination, MemoryLines, copy, destination, has_files
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_progress import Progress
from datums.transfer.look import first_answer

_PROG: Final = "datums cp"
_EPILOG: Final = f"""\
Every byte is hashed. A datum, a file in a pack and a pinned link are compared with the SHA-256 that is known of them; of
any other object the version, or the ETag, and the size are those of the moment when it was listed. Nothing lies at PATH
before all of it is verified. What an interrupted run has loaded is kept beside PATH (.datums-cp-…): the same command
goes on from there. What is at PATH already is not touched without --overwrite.

Prints the link in its pinned form, which names these bytes for good.

{HELP}
Exit code: 0 all of it is there; 1 it cannot be had; 2 wrong arguments.

Examples:
  datums cp datum://018f3c5e-… model.pkl
  datums cp 's3://data/raw/2026/**/*.parquet' raw/
  datums cp store://ml@platform/raw/x.csv . -n churn
  datums cp --anonymous gs://gcp-public-data-landsat/index.csv.gz .
"""


def main(argv: Sequence[str]) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Loads what a link leads to: one file, or all that a glob or a bundle has.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_link_arguments(parser)
    parser.add_argument("path", metavar="PATH", help="the file to write, or the directory to write into")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    given = parser.parse_args(argv)
    code = guarded(_PROG, lambda: _copy(given))
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that hangs in a call would keep the interpreter from its end.
    os._exit(code)


def _copy(given: argparse.Namespace) -> int:
    started = time.monotonic()
    found = find(given)
    try:
        to = destination(found.source, given.path)
        declared = InputPlan(
            name=INPUT,
            input_id="",
            sources=[found.source],
            filename=to.path.name if to.named else "",
            keep_directories="None" if to.single else "Suffix",
        )
        plan = structs.replace(found.plan, inputs=[declared])
        lines, progress = MemoryLines(plan.stores, found.credentials), Progress()
        with sentences(INPUT):
            first_answer(found.source, lines.store)
            try:
                with shown(progress):
                    pinned = copy(plan, to, lines, progress, overwrite=given.overwrite)
            except FetchError as error:
                raise Problem(f"{_plain(error)}{_kept(to)} ({error.reason})") from None
            except KeyboardInterrupt:
                raise Problem(f"interrupted{_kept(to)}", 130) from None
    except CopyError as error:
        raise Problem(str(error), FAILED) from None
    seconds = time.monotonic() - started
    print(pinned.pinned)
    print(f"{pinned.files:,} files, {amount(pinned.bytes)} in {seconds:.1f} s to {to.path}", file=sys.stderr)
    return 0


def _plain(error: FetchError) -> str:
    return str(error).replace(f"input {INPUT!r}, ", "")


def _kept(to: Destination) -> str:
    if not has_files(to.stage):
        return ""
    return f"; what was verified by then is kept in {to.stage}: run the same command again to go on, or remove it"
