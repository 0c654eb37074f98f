"""Uploads in parts that dead attempts, or earlier lives of this one, have left: nobody sees them, and somebody pays for them."""

from __future__ import annotations

from collections.abc import Callable

from datums.stores.protocol import PendingUpload, Store
from datums.transfer.patient import PatientStore
from datums.transfer.say import say


def attempt_of(key: str, execution_prefix: str) -> int | None:
    """The attempt that a key belongs to; None for no attempt of this execution.

    Args:
        execution_prefix: of all attempts' keys, ending in a slash.
    """
    attempt, slash, _ = key.removeprefix(execution_prefix).partition("/")
    return int(attempt) if key.startswith(execution_prefix) and slash and attempt.isdecimal() else None


def abort_strays(store: PatientStore, execution_prefix: str, attempt: int, is_kept: Callable[[PendingUpload], bool]) -> None:
    """Aborts what earlier attempts, and earlier lives of this one, have begun and nobody will finish. What cannot be aborted stays,
    and is named in the log: a credential may be good for all that matters and not for this.

    Args:
        execution_prefix: of all attempts' keys, ending in a slash.
        attempt: this one. Later ones are let be: if there are any, this one is the dead one.
        is_kept: whether an upload of this attempt is one that goes on.
    """
    aborted = 0
    for upload in store.try_to(execution_prefix, lambda target: list(target.pending_uploads(execution_prefix))) or ():
        of = attempt_of(upload.key, execution_prefix)
        if of is None or of > attempt or (of == attempt and is_kept(upload)):
            continue
        aborted += _abort(store, upload)
    if aborted:
        say(f"aborted {aborted} unfinished uploads of earlier attempts")


def _abort(store: PatientStore, upload: PendingUpload) -> bool:
    def abort(target: Store) -> bool:
        target.abort_upload(upload.key, upload.upload)
        return True

    return store.try_to(upload.key, abort) is True
