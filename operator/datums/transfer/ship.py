"""`python3 -m datums.transfer.ship`: the sidecar that saves what main writes, and commits it when main has ended."""

from __future__ import annotations

import os
import sys

from datums.model import podpaths
from datums.transfer.lifeline import Lifeline


def main() -> int:
    """Ships one attempt. `DATUMS_ROOT` relocates all paths."""
    root = os.environ.get("DATUMS_ROOT", "/")
    # Before anything that takes time to import: what a short main writes is lost when nobody has the FIFO open.
    lifeline = Lifeline(os.path.join(root, podpaths.LIFELINE.lstrip("/")))  # noqa: PTH118

    from datums.transfer.database import StateError  # noqa: PLC0415
    from datums.transfer.say import say  # noqa: PLC0415
    from datums.transfer.shipment import ShipPaths, ship  # noqa: PLC0415

    try:
        ship(ShipPaths.below(root), lifeline)
    except StateError as error:
        say(f"the pod's own state volume fails: {error.strerror}; free space on the node")
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # At once: the threads that still run have nothing left to do.
    os._exit(code)
