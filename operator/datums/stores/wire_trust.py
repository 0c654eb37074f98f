"""Which authorities a service's certificate may come from."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pycurl


def trust(ca_bundle: str) -> list[tuple[int, Any]]:
    """Options for libcurl: the public authorities of this machine, and those of a bundle.

    Args:
        ca_bundle: PEM; empty for the public ones alone.
    """
    paths = ssl.get_default_verify_paths()
    options: list[tuple[int, Any]] = []
    files = [ca_bundle]
    if paths.capath and next(Path(paths.capath).glob("*.0"), None) is not None:
        # By the hash of their names, each read when it is needed: to parse all of a file takes 10 ms for each connection.
        options.append((pycurl.CAPATH, paths.capath))
    if paths.cafile and (not options or paths.openssl_cafile_env in os.environ):
        files.append(Path(paths.cafile).read_text())
    bundle = "\n".join(files).strip()
    return [*options, (pycurl.CAINFO_BLOB, bundle)] if bundle else options
