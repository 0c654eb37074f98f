"""A signal that comes while it is waited for."""

from __future__ import annotations

import subprocess
import sys

_AT_EVERY_LINE = """
import signal, sys
from datums.transfer.termination import Termination

def come(frame, event, argument):
    signal.raise_signal(signal.SIGTERM)
    return come

termination = Termination()
assert not termination.wait(0.01)
sys.settrace(come)
came = termination.wait(5)
sys.settrace(None)
for _ in range(100_000):
    signal.raise_signal(signal.SIGTERM)
sys.exit(0 if came and termination.wait(0) else 1)
"""


def test_whenever_it_comes_it_is_noted_and_nothing_hangs() -> None:
    assert subprocess.run([sys.executable, "-c", _AT_EVERY_LINE], timeout=20, check=False).returncode == 0
