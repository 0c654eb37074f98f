"""Where things lie in a bucket. Every key that Datums writes is made here.

<prefix>/projects/<namespace>/executions/<name>-<uid8>/<attempt>/files/<path>       the first file of a path
                                                                 again/<n>/<path>   the second (n = 1) of the same path, …
                                                                 long/<sha256>      a path that cannot be a key: too long, or odd
                                                                 packs/<n>.tar      many small files in one plain tar
                                                                 manifest-<sha256>.jsonl.zst
                                                                 inputs-<sha256>.jsonl.zst
                                                                 commit.json
<prefix>/projects/<namespace>/sets/<15 hex digits>.json
<prefix>/probes/<32 hex digits>                                                     for some milliseconds, while a store is tried
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

MAX_KEY_BYTES = 1024
# XML, in which services list keys, has no control characters; SeaweedFS takes a backslash for a slash.
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")
_READ_OTHERWISE = re.compile(r"\\|//|^/|(?:^|/)\./")


def join(prefix: str, *parts: str) -> str:
    """A key from a prefix (which may be empty or end in a slash) and parts."""
    return "/".join([p for p in [prefix.strip("/")] if p] + list(parts))


def projects_prefix(prefix: str) -> str:
    """Below this lies what Datums wrote for every project; ends in a slash."""
    return join(prefix, "projects") + "/"


@lru_cache(maxsize=64)
def project_prefix(prefix: str, namespace: str) -> str:
    """Below this lies what Datums wrote for one project; ends in a slash."""
    return join(prefix, "projects", namespace) + "/"


def leads_into(key: str, prefix: str) -> str | None:
    """What a key has below a prefix, read by its signs or as some services read it; None where it leads elsewhere.

    Args:
        key: or the beginning of keys.
        prefix: ends in a slash.
    """
    if key.startswith(prefix):
        return key[len(prefix) :]
    read, prefix = _as_some_read_it(key), _as_some_read_it(prefix)
    return read[len(prefix) :] if read.startswith(prefix) else None


def _as_some_read_it(key: str) -> str:
    """A key as services read it that take a backslash for a slash, or leave out empty and `.` segments."""
    if not _READ_OTHERWISE.search(key):
        return key
    segments = [segment for segment in re.split(r"[/\\]", key) if segment not in ("", ".")]
    return "/".join(segments) + ("/" if key[-1] in "/\\" else "")


def attempt_prefix(prefix: str, namespace: str, name: str, uid: str, attempt: int) -> str:
    """Below this lies what one attempt wrote; ends in a slash."""
    return join(prefix, "projects", namespace, "executions", f"{name}-{uid[:8]}", str(attempt)) + "/"


def file_key(attempt: str, path: str, sequence: int) -> str:
    """The key of a file that an attempt saved.

    Args:
        attempt: the attempt's prefix, ending in a slash.
        path: the file's path below the outputs directory.
        sequence: 0 for the first file of this path, 1 for the second, …
    """
    key = f"{attempt}files/{path}" if sequence == 0 else f"{attempt}again/{sequence}/{path}"
    if len(key.encode()) <= MAX_KEY_BYTES and not _ODD.search(path):
        return key
    return f"{attempt}long/{hashlib.sha256(f'{sequence}/{path}'.encode()).hexdigest()}"


def pack_key(attempt: str, number: int) -> str:
    """The key of an attempt's pack.

    Args:
        attempt: the attempt's prefix, ending in a slash.
        number: from 0; none is used twice.
    """
    return f"{attempt}packs/{number}.tar"


def manifest_key(attempt: str, sha256: str) -> str:
    """The key of an attempt's output manifest."""
    return f"{attempt}manifest-{sha256}.jsonl.zst"


def inputs_key(attempt: str, sha256: str) -> str:
    """The key of the manifest of an attempt's resolved inputs."""
    return f"{attempt}inputs-{sha256}.jsonl.zst"


def commit_key(attempt: str) -> str:
    """The key of an attempt's commit point."""
    return f"{attempt}commit.json"


def set_key(prefix: str, namespace: str, set_hex: str) -> str:
    """The key of the index object that leads from a set to its attempt."""
    return join(prefix, "projects", namespace, "sets", f"{set_hex}.json")


def probe_key(prefix: str, token: str) -> str:
    """The key of the object that is written, read and removed to try a store."""
    return join(prefix, "probes", token)
