"""Globs over keys and paths: `*` and `?` stay within one level, `**` crosses levels. No other character is special."""

from __future__ import annotations

import re
from functools import lru_cache

_WILDCARD = re.compile(r"[*?]")


def is_glob(pattern: str) -> bool:
    """Whether the pattern has a wildcard."""
    return _WILDCARD.search(pattern) is not None


def fixed_prefix(pattern: str) -> str:
    """The part before the first wildcard: what a listing can be narrowed to."""
    match = _WILDCARD.search(pattern)
    return pattern if match is None else pattern[: match.start()]


def matches(pattern: str, path: str) -> bool:
    """Whether the whole path matches. `a/**` matches everything below `a/`, `**/x` also `x` itself."""
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    i = 0
    while i < len(pattern):
        if pattern.startswith("**/", i) and (i == 0 or pattern[i - 1] == "/"):
            out.append("(?:.*/)?")
            i += 3
        elif pattern.startswith("**", i):
            out.append(".*")
            i += 2
        elif pattern[i] == "*":
            out.append("[^/]*")
            i += 1
        elif pattern[i] == "?":
            out.append("[^/]")
            i += 1
        else:
            out.append(re.escape(pattern[i]))
            i += 1
    return re.compile("".join(out), re.DOTALL)
