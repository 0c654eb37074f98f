"""What keeps an execution from starting: it waits, or it ends. Which of the two a reason means is decided here, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from datums.api.reasons import Failed

MENDS: Final[Mapping[Failed, str]] = {
    Failed.STORE_NOT_READY: "the store, its Secret or its share can be made or mended",
    Failed.AMBIGUOUS_STORE: "one of the default stores can cease to be the default",
    Failed.NOT_SHARED: "the owner of the store or of the datum can share it",
}
"""Reasons that wait (`Succeeded` stays Unknown), with what can mend them while the spec stays as it is. Every other reason ends the
execution: InvalidSpec and InvalidPodTemplate are faults of the spec, which cannot change, and a datum that is not there
(InputNotFound) cannot come to be, for its id follows from what was saved."""


class NotStartable(Exception):
    """The execution cannot start now (`waits`), or never."""

    def __init__(self, reason: Failed, message: str, *, final: bool = False) -> None:
        """
        Args:
            final: nothing can mend it, whatever `MENDS` says of the reason.
        """
        super().__init__(message)
        self.reason = reason
        self.waits = reason in MENDS and not final
        """Whether it can start later with nobody changing the spec."""
