"""Runs the checks on a store, and removes what they wrote."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from datums.model.places import root_of, service_url
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.conformance import basics, consistency, identity, keys, reading, speed, uploads
from datums.stores.conformance.case import Case, Check, Differs, Outcome, Report, is_ok
from datums.stores.conformance.site import Site
from datums.stores.errors import StoreError

_LONG: Final = re.compile(r"(\S{80})\S{80,}(\S{20})")  # keys of 1,024 bytes
_SPEAK_S3: Final = ("s3", "ovh", "oracle")


class Options(NamedTuple):
    """What is left out, and what is read."""

    quick: bool = False
    """Leaves out the long list and the speed."""
    sample: str = ""
    """Key of an object to read, for a store that is only read."""


def run(
    access: StoreAccess,
    credentials: Mapping[str, str],
    options: Options = Options(),  # noqa: B008  never changed
    on_check: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Tries a store. Where nothing can be written, the half that only reads is tried.

    Args:
        on_check: called with each check as soon as it is made.

    Raises:
        StoreError: the store cannot be used at all.
    """
    site = Site(access, credentials, sample=options.sample)
    why_half = "its DataStore is anonymous" if access.anonymous else _cannot_write(site)
    checks: list[Check] = []

    def make(cases: Iterable[Case]) -> None:
        for case in cases:
            check = _check(site, case)
            checks.append(check)
            on_check(check)

    try:
        make(_reading(options) if why_half else _all(access, options))
    finally:
        if not why_half:
            make([_removal(keeps_versions=any(check.name == "versions" and check.verdict == "yes" for check in checks))])
    return Report(
        store=access.name,
        kind=access.kind,
        bucket=root_of(access.kind, access.bucket, access.account),
        service=service_url(access.kind, endpoint=access.endpoint, region=access.region, account=access.account),
        half="read" if why_half else "all",
        why_half=why_half,
        checks=checks,
        repeated=site.repeated,
    )


def _cannot_write(site: Site) -> str:
    """Why nothing can be written; empty where it can."""
    key = site.key("first")
    # First a read: a refused write alone would not tell "read-only" from "not at all".
    try:
        site.again(lambda: list(site.store.list(key)))
    except errors.AccessDenied:
        if not site.sample:
            raise
        site.again(lambda: site.store.head(site.sample))
    try:
        site.again(lambda: site.store.put(key, b"Datums tries this store, and removes this again.\n"))
    except errors.AccessDenied as error:
        return str(error)
    except StoreError as error:
        if error.retryable:
            raise
        # Refused for another reason, such as a header: the checks will show which.
    return ""


def _all(access: StoreAccess, options: Options) -> list[Case]:
    cases = [*basics.CASES, *keys.CASES, *consistency.CASES]
    if not options.quick:
        cases.append(consistency.PAGES)
    cases += [*uploads.CASES, *identity.CASES]
    if access.kind in _SPEAK_S3:
        cases += identity.S3_CASES
    return cases if options.quick else [*cases, *speed.CASES]


def _reading(options: Options) -> list[Case]:
    return [case for case in reading.CASES if not options.quick or case.group != "Speed"]


def _check(site: Site, case: Case) -> Check:
    started = time.monotonic()

    def once() -> Outcome:
        site.fresh()
        return case.run(site)

    try:
        outcome = site.again(once)
    except Differs as difference:
        outcome = Outcome("no", str(difference))
    except StoreError as error:
        outcome = Outcome("no" if error.retryable else "refused", str(error))
    return Check(
        group=case.group,
        name=case.name,
        tried=case.tried,
        verdict=outcome.verdict,
        told=_LONG.sub(lambda long: f"{long[1]}…{long[2]}", outcome.told),
        ok=is_ok(case.need, outcome.verdict),
        seconds=round(time.monotonic() - started, 3),
        figures=outcome.figures,
    )


def _removal(*, keeps_versions: bool) -> Case:
    def clean(site: Site) -> Outcome:
        where = f"below {site.store.uri(site.root)}"
        if left := site.clean():
            return Outcome("no", f"{len(left)} objects are still listed {where}")
        if keeps_versions:
            return Outcome("yes", f"the bucket keeps versions: a lifecycle rule has to remove those {where}")
        return Outcome("yes", f"nothing is listed {where}")

    return Case("Removal", "removed", "all that the checks wrote is removed", "must", clean)
