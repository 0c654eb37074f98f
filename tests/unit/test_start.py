"""What a pod's containers do not import: each would cost milliseconds of every execution's start."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SLOW = ("asyncio", "dataclasses", "inspect", "logging", "typing_extensions")


@pytest.mark.parametrize(
    "modules",
    [
        "datums.transfer.fetch, datums.transfer.fetch_load, datums.transfer.download, datums.stores.s3_listing",
        "datums.transfer.ship, datums.transfer.shipment, datums.stores.s3_listing",
    ],
)
def test_what_takes_long_to_import_stays_out(modules: str) -> None:
    program = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pycurl" in done.stdout.split()
    assert not set(_SLOW) & set(done.stdout.split())


def test_who_needs_them_gets_them_all_the_same() -> None:
    program = (
        "import datums.transfer, datums.stores, typing_extensions, asyncio, pycurl; print(typing_extensions.Buffer, pycurl.Curl)"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
