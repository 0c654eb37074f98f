"""`datums store check`: what a real store can do, what it refuses and how fast it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from datums.cli import store_table
from datums.cli.cluster import FAILED, MISUSED, Problem, add_arguments, ask, guarded
from datums.stores.conformance import Check, Options, Report, run
from datums.stores.errors import StoreError

if TYPE_CHECKING:
    from datums.control.kube import Kube
    from datums.control.store_reader import OpenAccess

_PROG: Final = "datums store check"
_EPILOG: Final = """\
It writes below <the store's prefix>/probes/<a new id>/ (1,300 objects, some 300 MB in all; with --quick 130 objects
and 200 MB), and removes all of it again, also when it is interrupted. Nothing else is written or removed. Where the
credentials may only read, only reading is tried.

The DataStore and its Secret are read with your own rights: you must be allowed to get both.

Exit code: 0 the store can be used; 1 it cannot, or does something that Datums cannot live with; 2 wrong arguments.

Examples:
  datums store check ml                                  the DataStore ml of the current namespace
  datums store check ml@platform -o markdown             the one of namespace platform, as a page
  datums store check public --read-only                  only what reading needs
  datums store check --file store.yaml --file keys.yaml  a DataStore and its Secret from files, without a cluster
  kubectl exec -n datums-system deploy/datums -- datums store check ml@platform
"""


def main(argv: Sequence[str]) -> int:
    """Runs a subcommand of `datums store`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="datums store", description="DataStores: where data lives.")
    commands = parser.add_subparsers(dest="command", metavar="<command>", required=True)
    _add_check(commands)
    if not argv:
        parser.print_help()
        return 0
    given = parser.parse_args(argv)
    return guarded(_PROG, lambda: _check(given))


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="try a store",
        description="Tries a real store, and prints what it can do, what it refuses and how fast it is from here.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("name", nargs="?", default="", metavar="NAME", help="the DataStore: <name> or <name>@<namespace>")
    check.add_argument("-o", "--output", choices=("table", "json", "markdown"), default="table", help="table by default")
    check.add_argument("--quick", action="store_true", help="leaves out the long list and the speed")
    check.add_argument("--read-only", action="store_true", help="a store that can only be read is as it should be")
    check.add_argument("--object", default="", metavar="KEY", help="the object to read, where the store can only be read")
    check.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML with the DataStore, its Secret and its ConfigMap, instead of a cluster; can be repeated",
    )
    add_arguments(check)


def _check(given: argparse.Namespace) -> int:
    access, credentials, _ = _opened(given)
    shown = sys.stderr if sys.stderr.isatty() else None

    def tell(check: Check) -> None:
        if shown:
            print(f"\r\033[K{check.group}: {check.name}", end="", file=shown, flush=True)

    try:
        report = run(access, credentials, Options(quick=given.quick, sample=given.object), tell)
    except StoreError as error:
        raise Problem(f"{error} ({error.reason})") from None
    finally:
        if shown:
            print("\r\033[K", end="", file=shown, flush=True)
    only_read = given.read_only or access.anonymous
    print(_shown(report, given.output))
    if report.half == "read" and not only_read:
        raise Problem(
            f"DataStore {report.store} can only be read, so executions cannot save there ({report.why_half}); with --read-only "
            "that is as it should be"
        )
    if failed := report.failed:
        raise Problem(
            f"DataStore {report.store}: Datums cannot rely on this store: {len(failed)} of {len(report.checks)} checks failed "
            f"({', '.join(check.name for check in failed)})"
        )
    return 0


def _shown(report: Report, form: str) -> str:
    match form:
        case "json":
            return msgspec.json.format(msgspec.json.encode(report)).decode()
        case "markdown":
            return store_table.markdown(report)
    return store_table.table(report)


def _opened(given: argparse.Namespace) -> OpenAccess:
    """The store's access and credentials.

    Raises:
        Problem: they cannot be had.
    """
    name, at, namespace = given.name.partition("@")
    if at and (not name or not namespace):
        raise Problem(f"{given.name!r} names no DataStore: write <name> or <name>@<namespace>", MISUSED)
    if at and given.namespace not in ("", namespace):
        raise Problem(f"{given.name!r} and --namespace {given.namespace} name different namespaces: leave one out", MISUSED)
    if not name and not given.file:
        raise Problem("name a DataStore, or give its manifest with --file", MISUSED)
    namespace = namespace or given.namespace
    if given.file:
        return _from_files(given, name, namespace)
    return ask(given, lambda kube, project: _from_cluster(kube, name, namespace or project))


def _from_files(given: argparse.Namespace, name: str, namespace: str) -> OpenAccess:
    import asyncio  # noqa: PLC0415

    from datums.cli.manifests import Manifests  # noqa: PLC0415

    manifests = Manifests(given.file, namespace)
    store = manifests.store(name, namespace)
    # Of a Kube, only `get` is called.
    return asyncio.run(_access(cast("Kube", manifests), store))


async def _from_cluster(kube: Kube, name: str, namespace: str) -> OpenAccess:
    from datums.control.kube import DATASTORES, Forbidden, NotFound  # noqa: PLC0415

    try:
        store = await kube.get(DATASTORES, namespace, name)
    except NotFound:
        raise Problem(
            f"there is no DataStore {namespace}/{name}: `kubectl get datastores --all-namespaces` lists those that there are"
        ) from None
    except Forbidden as error:
        raise Problem(f"you may not read DataStore {namespace}/{name}: {error}") from None
    return await _access(kube, store)


async def _access(kube: Kube, store: dict[str, Any]) -> OpenAccess:
    from datums.control.kube import Forbidden  # noqa: PLC0415
    from datums.control.store_credentials import StoreSetupError  # noqa: PLC0415
    from datums.control.store_reader import read_access  # noqa: PLC0415

    try:
        return await read_access(kube, store)
    except StoreSetupError as error:
        raise Problem(f"{error} ({error.reason})", FAILED) from None
    except msgspec.ValidationError as error:
        raise Problem(f"the DataStore is not one that the API server would take: {error}", MISUSED) from None
    except Forbidden as error:
        raise Problem(f"you may not read the credentials of the DataStore: {error}") from None
