"""What can go wrong with a store. Messages are sentences that name the store, the object and the cure, and hold no secret.

StoreError
├── NotFound              no such object                                       InputNotFound
├── AlreadyExists         written with `if_absent`, but the key is taken       (for the caller to judge)
├── Changed               the object is not the version that was asked for     InputChanged
├── UnsupportedKey        a key that the driver cannot address exactly         InvalidSpec
├── NotSupported          the service has no such function                     (for the caller to judge)
├── AccessDenied          wrong key, or not allowed                            AccessDenied
│   ├── CredentialExpired a session's credential has had its time              AccessDenied
│   └── ReadOnly          reading is allowed, writing is not                   ReadOnly
├── BucketNotFound        no such bucket                                       BucketNotFound
├── ClockSkew             signed at a time that the service does not accept    ClockSkew
├── CertificateInvalid    the service's certificate is not trusted             CertificateInvalid
├── EndpointUnreachable   nothing there, or not this protocol                  EndpointUnreachable   retryable
├── Unavailable           broken, timed out                                    StoreUnavailable      retryable
│   └── Throttled         asked to slow down (429, 503)                        StoreUnavailable      retryable
└── Corrupt               other bytes than were promised                       InputDigestMismatch
"""

from __future__ import annotations

from typing import ClassVar

from datums.api.reasons import Failed, StoreNotReady


class StoreError(Exception):
    """A store did not do what it was asked to.

    Attributes:
        reason: a reason of api/reasons.py.
        retryable: whether the same call may succeed later with nobody doing anything.
        store: `<namespace>/<name>` of the DataStore.
        key: the object's key, empty where the whole store is concerned.
    """

    reason: ClassVar[str] = Failed.STORE_NOT_READY
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, store: str = "", key: str = "") -> None:
        super().__init__(message)
        self.store = store
        self.key = key


class NotFound(StoreError):
    """There is no such object."""

    reason = Failed.INPUT_NOT_FOUND


class NotTheFile(StoreError):
    """What answers for a public file is something else, such as a page."""

    reason = Failed.INPUT_NOT_FOUND


class AlreadyExists(StoreError):
    """The key is taken, and was to be written only if it is free."""


class Changed(StoreError):
    """The object is not the version that was asked for."""

    reason = Failed.INPUT_CHANGED


class UnsupportedKey(StoreError):
    """The driver cannot address this key exactly."""

    reason = Failed.INVALID_SPEC


class NotSupported(StoreError):
    """The service does not have this function."""


class AccessDenied(StoreError):
    """The service refuses the credentials, or they may not do this."""

    reason = StoreNotReady.ACCESS_DENIED


class CredentialExpired(AccessDenied):
    """The credential was good, and has had its time. The Secret may hold a newer one."""


class ReadOnly(AccessDenied):
    """Reading works, writing does not."""

    reason = StoreNotReady.READ_ONLY


class BucketNotFound(StoreError):
    """There is no such bucket."""

    reason = StoreNotReady.BUCKET_NOT_FOUND


class ClockSkew(StoreError):
    """The clocks differ too much for signed requests."""

    reason = StoreNotReady.CLOCK_SKEW


class CertificateInvalid(StoreError):
    """The service's certificate is not trusted."""

    reason = StoreNotReady.CERTIFICATE_INVALID


class EndpointUnreachable(StoreError):
    """Nothing answers there, or not by this protocol."""

    reason = StoreNotReady.ENDPOINT_UNREACHABLE
    retryable = True


class Unavailable(StoreError):
    """The service is broken, or did not answer in time."""

    reason = Failed.STORE_UNAVAILABLE
    retryable = True


class Throttled(Unavailable):
    """The service asks for fewer requests.

    Attributes:
        retry_after: seconds that the service asks to wait; 0 where it does not say.
    """

    def __init__(self, message: str, *, store: str = "", key: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message, store=store, key=key)
        self.retry_after = retry_after


class Corrupt(StoreError):
    """The bytes are not those that were promised."""

    reason = Failed.INPUT_DIGEST_MISMATCH
