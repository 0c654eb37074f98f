"""Looking after answers on their way."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datums.stores.wire_saving import Saving

_LOOK_SECONDS: Final = 0.25


class Watch:
    """Looks after answers on their way, in a thread of its own while there are any. libcurl would ask for each piece of some KiB,
    and wait for the interpreter's lock each time. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: set[Saving] = set()
        self._is_running = False

    def add(self, saving: Saving) -> bool:
        """Whether it is looked after from now on, until it is removed."""
        with self._lock:
            if not self._is_running:
                try:
                    threading.Thread(target=self._run, name="watch", daemon=True).start()
                except RuntimeError:  # there may be no more threads
                    return False
                self._is_running = True
            self._watched.add(saving)
            return True

    def remove(self, saving: Saving) -> None:
        """It is not looked at any more when this returns."""
        with self._lock:
            self._watched.discard(saving)

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                if not self._watched:
                    self._is_running = False
                    return
                for saving in self._watched:
                    saving.look_after()
