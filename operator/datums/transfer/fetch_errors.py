"""Why inputs cannot be had: a reason of the Execution, and a sentence."""

from __future__ import annotations

import errno

from datums.api.reasons import Failed
from datums.stores.errors import EndpointUnreachable, StoreError


class FetchError(Exception):
    """Ends `fetch`. The message names the input, what is wrong and what to do."""

    def __init__(self, reason: Failed, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def from_store(error: StoreError, input_name: str, link: str) -> FetchError:
    """What a store's error means for an execution."""
    return FetchError(failed_reason(error), f"input {input_name!r}, link {link}: {error}")


def failed_reason(error: StoreError) -> Failed:
    """The Execution's reason. What only a DataStore has a reason of means that it is not ready."""
    if isinstance(error, EndpointUnreachable):
        return Failed.STORE_UNAVAILABLE
    try:
        return Failed(error.reason)
    except ValueError:
        return Failed.STORE_NOT_READY if error.store else Failed.STORE_UNAVAILABLE


def from_system(error: OSError, path: str, size: int) -> FetchError:
    """What a failure to write a file means.

    Args:
        size: of the file, in bytes.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(
            Failed.EVICTED,
            f"no space left for {path} ({size:,} bytes): choose nodes with more ephemeral storage, or request it in spec.resources",
        )
    return FetchError(Failed.EVICTED, f"{path} cannot be written: {error.strerror or error}")
