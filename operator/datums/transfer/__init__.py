"""What runs in an execution's pod: `fetch` and `ship`, with what the CLI's `cp` and `ls` share with them."""

from __future__ import annotations

import gc
import sys

# The garbage collector looks for circles of objects only where a great many are new. Modules and lists of files have none, and to
# look through them took a twentieth of the time of many small files, and of the time to a pod's first request.
gc.set_threshold(100_000)

# msgspec takes typing_extensions where that is installed, though this Python's own `typing` has all that it takes from it; and that
# imports `inspect`. It is a tenth of the time to a pod's first request.
if sys.modules.keys().isdisjoint(("msgspec", "typing_extensions")):
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules["typing_extensions"]
