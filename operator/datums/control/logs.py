"""Logging: JSON lines or text on standard error, with whatever looks like a secret struck out.

No secret is passed to a log in the first place; this is the second belt.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from typing import Final, Literal

from pythonjsonlogger.json import JsonFormatter

STRUCK: Final = "[redacted]"
_REMEMBERED: Final = 4096
_SHORTEST: Final = 8
_PATTERNS: Final = (
    re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"),
    re.compile(r"(?i)((?:secret|password|token|session)[a-z_]*[\"']?\s*[=:]\s*[\"']?)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)([?&](?:amp;)?sig=)[^&\s\"]+"),
    re.compile(r"(?i)(X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)=)[^&\s\"]+"),
)
_known: dict[str, None] = {}


def strike(values: Iterable[str]) -> None:
    """Remembers values that must never show in a log: credentials that were read."""
    for value in values:
        if len(value) >= _SHORTEST:
            _known[value] = None
    while len(_known) > _REMEMBERED:
        del _known[next(iter(_known))]


def redacted(line: str) -> str:
    """The line without what looks like a secret or is known to be one."""
    for value in _known:
        if value in line:
            line = line.replace(value, STRUCK)
    for pattern in _PATTERNS:
        line = pattern.sub(rf"\1{STRUCK}", line)
    return line


class _Json(JsonFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def set_up(level: str, form: Literal["json", "text"]) -> None:
    """Makes the root logger write to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        names = {"levelname": "level", "name": "logger", "asctime": "time"}
        handler.setFormatter(
            _Json("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=names, datefmt="%Y-%m-%dT%H:%M:%S%z")
        )
    else:
        handler.setFormatter(_Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
