"""The conformance kit's report for people: as text for a terminal, as a page in Markdown. Pure."""

from __future__ import annotations

import shutil
import textwrap
from typing import Final

from datums.stores.conformance.case import Check, Report, groups

_VERDICT: Final = 8
_NAME: Final = 28
_INDENT: Final = 2 + _VERDICT + _NAME
_NARROWEST: Final = 80


def table(report: Report, width: int = 0) -> str:
    """A table.

    Args:
        width: in characters; the terminal's when 0.
    """
    columns = max(_NARROWEST, width or shutil.get_terminal_size((120, 24)).columns)
    lines = [f"DataStore {report.store}: {report.bucket} at {report.service} ({report.kind})"]
    if report.half == "read":
        lines += _wrapped(f"Only reading was tried: {report.why_half}", "", columns)
    for group, checks in groups(report.checks).items():
        lines += ["", group.upper()]
        for check in checks:
            lines += _row(check, columns)
    return "\n".join([*lines, "", *_wrapped(summary(report), "", columns)])


def markdown(report: Report) -> str:
    """The same as a section of a page."""
    lines = [f"DataStore `{report.store}`: `{report.bucket}` at `{report.service}` ({report.kind}).", ""]
    if report.half == "read":
        lines += [f"Only reading was tried: {report.why_half}.", ""]
    lines += ["| Check | What was tried | Verdict | | Seconds |", "|---|---|---|---|---|"]
    lines += [
        f"| {check.group}: {check.name} | {_cell(check.tried)} | {_verdict(check)} | {_cell(check.told)} | {check.seconds:.2f} |"
        for check in report.checks
    ]
    return "\n".join([*lines, "", summary(report)])


def summary(report: Report) -> str:
    """One sentence on the whole."""
    count = {verdict: sum(check.verdict == verdict for check in report.checks) for verdict in ("yes", "no", "refused")}
    told = f"{len(report.checks)} checks: {count['yes']} yes, {count['no']} no, {count['refused']} refused"
    if report.repeated:
        told += f"; the service was asked again {report.repeated} times because it was busy or did not answer"
    if report.failed:
        return f"{told}. Datums cannot rely on this store: see the lines with '!'."
    return f"{told}. {'It can be read.' if report.half == 'read' else 'It can be used.'}"


def _row(check: Check, columns: int) -> list[str]:
    mark = " " if check.ok else "!"
    seconds = f"{check.seconds:.2f} s"
    what = check.told if check.verdict == "yes" and check.told else check.tried
    room = columns - _INDENT - len(seconds) - 1
    shown = what if len(what) <= room else f"{what[: room - 1]}…"
    first = f"{mark} {check.verdict:<{_VERDICT}}{check.name:<{_NAME}}{shown}".ljust(columns - len(seconds)) + seconds
    return [first] if check.verdict == "yes" else [first, *_wrapped(check.told, " " * _INDENT, columns)]


def _wrapped(text: str, indent: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text, columns, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _verdict(check: Check) -> str:
    return check.verdict if check.ok else f"**{check.verdict}**"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
