"""Why inputs cannot be had: a reason of the Execution, and a sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from datums.api.reasons import Failed
from datums.stores.errors import Changed, Corrupt, EndpointUnreachable, NotFound, StoreError


class FetchError(Exception):
    """Ends `fetch`. The message names the input, what is wrong and what to do."""

    def __init__(self, reason: Failed, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def from_store(error: StoreError, input_name: str, link: str, *, listed: bool = False) -> FetchError:
    """What a store's error means for an execution.

    Args:
        listed: the object was there when the link was resolved, and its digest was not known: what is wrong now is a change.
    """
    where = f"input {input_name!r}, link {link}: {error}"
    if isinstance(error, Changed) or (listed and isinstance(error, NotFound | Corrupt)):
        return FetchError(
            Failed.INPUT_CHANGED, f"{where}; it was replaced or removed after it was listed: run again when nobody writes to it"
        )
    return FetchError(failed_reason(error), where)


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
    needed = f"{path} ({size:,} bytes)" if size else path
    match error.errno:
        case errno.ENOSPC:
            text = f"no space left for {needed}{_free(path)}: choose nodes with more ephemeral storage, or request it in "
            text += "spec.resources"
        case errno.EDQUOT:
            text = f"the quota of the volume is used up, and {needed} has no room{_free(path)}: raise the quota"
        case errno.EROFS:
            text = f"{path} cannot be written: its volume is read-only; mend the volume or the node"
        case errno.EMFILE | errno.ENFILE:
            text = (
                f"{path} cannot be opened: too many open files{_file_limit()}: raise the limit (ulimit -n) on the node, or lower "
            )
            text += "spec.tuning.concurrency of the DataStore"
        case errno.EFBIG:
            text = f"{needed} is larger than a file may be here: raise the limit (ulimit -f), or use another file system"
        case _:
            text = f"{path} cannot be written: {error.strerror or error}"
    return FetchError(Failed.EVICTED, text)


def _free(path: str) -> str:
    for directory in Path(path).parents:
        try:
            volume = os.statvfs(directory)
        except OSError:
            continue
        files = "" if volume.f_favail or not volume.f_files else " and no more files"
        return f"; free are {volume.f_bavail * volume.f_frsize:,} bytes{files}"
    return ""


def _file_limit() -> str:
    import resource  # noqa: PLC0415  only a failure needs it

    return f" (the limit is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]})"
