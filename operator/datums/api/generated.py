"""Files that are generated from the types: write them, or find the stale ones."""

import argparse
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
"""The repository's root."""


def stale(files: Mapping[Path, str]) -> list[Path]:
    """The files whose content on disk is not this, relative to the root."""
    return [
        path
        for path, content in files.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != content
    ]


def write(files: Mapping[Path, str]) -> list[Path]:
    """Writes the stale files and returns them."""
    changed = stale(files)
    for path in changed:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(files[path], encoding="utf-8")
    return changed


def main(files: Mapping[Path, str], command: str) -> int:
    """The command line of a generator: writes, or with `--check` returns 1 when something is stale."""
    parser = argparse.ArgumentParser(prog=command)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is stale")
    if parser.parse_args().check:
        outdated = stale(files)
        for path in outdated:
            print(f"{path} is stale: run `{command}`")  # noqa: T201
        return 1 if outdated else 0
    for path in write(files):
        print(f"wrote {path}")  # noqa: T201
    return 0
