"""What one check of the kit is, and what can come of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec

if TYPE_CHECKING:
    from datums.stores.conformance.site import Site

Verdict: TypeAlias = Literal["yes", "no", "refused"]
"""The service does it; it does something else; it, or the driver, says that it does not."""

Need: TypeAlias = Literal["must", "or-refuse", "may"]
"""Datums relies on it; it must be done or refused, never done differently; Datums works without."""


class Outcome(NamedTuple):
    """What came of a check."""

    verdict: Verdict
    told: str = ""
    """A figure, or why not."""
    figures: dict[str, float] = {}  # noqa: RUF012  never changed
    """Measures by name, with their unit in it."""


YES = Outcome("yes")


def no(told: str) -> Outcome:
    """The service does something else."""
    return Outcome("no", told)


class Differs(Exception):
    """The service does something else than what it should; the message says what."""


def expect(condition: bool, told: str) -> None:
    """Goes on only where the service does what it should.

    Raises:
        Differs: it does not.
    """
    if not condition:
        raise Differs(told)


class Case(NamedTuple):
    """One check: what is tried, and the function that tries it."""

    group: str
    name: str
    tried: str
    """What is done, for people."""
    need: Need
    run: Callable[[Site], Outcome]
    """Raises `Differs` or a StoreError."""


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A check that was made."""

    group: str
    name: str
    tried: str
    verdict: Verdict
    told: str = ""
    """A figure, or why not."""
    ok: bool
    """False: Datums cannot rely on this store as it is."""
    seconds: float
    figures: dict[str, float] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found out about a store."""

    store: str
    """`<namespace>/<name>`."""
    kind: str
    bucket: str
    """As a link, such as `s3://bucket`."""
    service: str
    """URL."""
    half: Literal["all", "read"]
    """`read`: nothing could be written, so only reading was tried."""
    why_half: str = ""
    """Why nothing could be written."""
    checks: list[Check]
    repeated: int = 0
    """How many checks were made again because the service was busy or did not answer."""

    @property
    def failed(self) -> list[Check]:
        """The checks for which Datums cannot rely on this store."""
        return [check for check in self.checks if not check.ok]


def is_ok(need: Need, verdict: Verdict) -> bool:
    """Whether Datums can live with a verdict."""
    return verdict == "yes" or need == "may" or (need == "or-refuse" and verdict == "refused")


def groups(checks: Iterable[Check]) -> dict[str, list[Check]]:
    """The checks by group, in their order."""
    found: dict[str, list[Check]] = {}
    for check in checks:
        found.setdefault(check.group, []).append(check)
    return found
