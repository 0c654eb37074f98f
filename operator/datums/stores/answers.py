"""From what a service or the network answered to a StoreError: a decision on text and tables, without I/O."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from datums.model import places
from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.errors import StoreError


class Target(NamedTuple):
    """What was spoken to; for messages."""

    store: str
    """`<namespace>/<name>`."""
    root: str
    """The bucket as a link, as `places.root_of` gives it."""
    bucket: str
    endpoint: str
    """URL of the service, and the proxy on the way to it where there is one."""
    field: str = "spec.s3"
    """The block of the DataStore's spec that describes it."""
    noun: str = "bucket"
    """What the provider calls a bucket; the name of its field, too."""
    anonymous: bool = False
    key: str = ""
    """Empty: the bucket."""

    @property
    def uri(self) -> str:
        """The object as a link."""
        return f"{self.root}/{self.key}"


class Answer(NamedTuple):
    """What is known of a request that failed."""

    status: int = 0
    """HTTP status; 0 where there was no answer."""
    code: str = ""
    """The service's error code."""
    message: str = ""
    """The service's message."""
    network: str = ""
    """What the network layer says (`WireError`)."""
    foreign: bool = False
    """The body is no error of the service: something on the way has answered, or another kind of server."""
    retry_after: float = 0.0
    """Seconds that the service asks to wait; 0 where it does not say."""


class Codes(NamedTuple):
    """A provider's own error codes, by what they mean."""

    protocol: str
    """Whose protocol it is, for messages, such as `S3`."""
    no_bucket: frozenset[str] = frozenset()
    no_object: frozenset[str] = frozenset()
    no_upload: frozenset[str] = frozenset()
    """An upload in parts, or a part of it, is not there."""
    bad_key: frozenset[str] = frozenset()
    expired: frozenset[str] = frozenset()
    clock: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    slow_down: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    unsupported: frozenset[str] = frozenset()
    damaged: frozenset[str] = frozenset()
    """The bytes have arrived other than they were sent."""


ERROR_BYTES: Final = 64 << 10
"""Of an error's body as much is read as says what it is."""
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})")
CERTIFICATE: Final = "certificate verify failed"
_CERTIFICATE: Final = re.compile(CERTIFICATE + r": [^()\]]{1,200}")
_SYSTEM: Final = re.compile(r"\[Errno \d+\] ([^'\"()\\]{1,200})")
_NAME: Final = re.compile(r"failed to lookup address information: ([^\"]{1,100})")
_TLS: Final = re.compile(r"wrong version number|record layer failure|packet length too long|handshake failure", re.IGNORECASE)
_PROXY: Final = re.compile(r"Tunnel connection failed: ([^'\")]{1,100})")
_CONNECTING: Final = "Connect "
_TIMEOUT: Final = "timed out"
_OTHER_PROTOCOL: Final = "Got invalid"


def target_of(access: StoreAccess) -> Target:
    """The bucket of a store."""
    endpoint = places.service_url(access.kind, endpoint=access.endpoint, region=access.region, account=access.account)
    if access.proxy:
        # Without user and password, should there be any.
        endpoint += f" (by the proxy {urlsplit(access.proxy).netloc.rpartition('@')[2]})"
    return Target(
        store=access.name,
        root=places.root_of(access.kind, access.bucket, access.account),
        bucket=access.bucket,
        endpoint=endpoint,
        field=f"spec.{access.kind}",
        noun="container" if access.kind in ("azure", "ovh") else "bucket",
        anonymous=access.anonymous,
    )


def read_error_body(status: int, body: bytes | bytearray, retry_after: float = 0.0) -> Answer:
    """What the body of an error in S3's form tells, which Azure's is, too.

    Args:
        status: 0 where it says nothing.
    """
    text = body[:ERROR_BYTES].decode("utf-8", "replace")
    code, message = _CODE.search(text), _MESSAGE.search(text)
    return Answer(
        status=status,
        code=code[1] if code else "",
        message=message[1].strip() if message else "",
        foreign=bool(text.strip() and not code),
        retry_after=retry_after,
    )


def classify(answer: Answer, target: Target, doing: str, codes: Codes) -> StoreError:
    """The error that an answer means.

    Args:
        doing: what was tried, such as `read` or `write`; for the sentence.
    """
    kind, sentence = _judge_network(answer.network, target, codes) if answer.network else _judge(answer, target, doing, codes)
    message = f"DataStore {target.store}: {sentence}"
    if issubclass(kind, errors.Throttled):
        return kind(message, store=target.store, key=target.key, retry_after=answer.retry_after)
    return kind(message, store=target.store, key=target.key)


def other_protocol(target: Target, codes: Codes, what: str = "") -> StoreError:
    """Something answers that does not speak the protocol.

    Args:
        what: what is odd, as the end of the sentence.
    """
    why = f" ({what})" if what else ""
    sentence = f"{target.endpoint} does not answer as {codes.protocol} does{why}: correct {target.field}.endpoint"
    return errors.EndpointUnreachable(f"DataStore {target.store}: {sentence}", store=target.store, key=target.key)


def _judge(answer: Answer, target: Target, doing: str, codes: Codes) -> tuple[type[StoreError], str]:
    bucket, secret = f"{target.noun} {target.bucket!r}", "the Secret of spec.credentials.secretRef"
    status, code, said = answer.status, answer.code, _said(answer)
    if code in codes.no_bucket:
        return errors.BucketNotFound, (
            f"there is no {bucket} at {target.endpoint}: create it, or correct {target.field}.{target.noun}"
        )
    if code in codes.expired:
        return errors.CredentialExpired, f"the credentials for {target.endpoint} have expired{said}: renew {secret}"
    if code in codes.clock:
        return errors.ClockSkew, f"{target.endpoint} finds the clock of this node wrong{said}: synchronise the clocks"
    if code in codes.bad_key:
        return errors.AccessDenied, f"{target.endpoint} does not accept the credentials{said}: correct {secret}"
    if code in codes.unsupported or status == 501:
        return errors.NotSupported, f"{target.endpoint} does not know how to {doing} {target.uri} in this way{said}"
    if status in (429, 503) or code in codes.slow_down:
        return errors.Throttled, f"{target.endpoint} asks for fewer requests{said}; it was to {doing} {target.uri}"
    if code in codes.damaged:
        return errors.Unavailable, f"{target.uri} arrived at {target.endpoint} other than it was sent{said}"
    if code in codes.busy or status in (408, 425) or status >= 500:
        return errors.Unavailable, f"{target.endpoint} could not {doing} {target.uri} now{said}"
    if status in (401, 403) or code in codes.denied:
        if target.anonymous:
            return errors.AccessDenied, (
                f"{target.uri} is not public{said}, and spec.credentials.anonymous sends no credentials: "
                "make it public, or name a Secret in spec.credentials.secretRef"
            )
        return errors.AccessDenied, (
            f"the credentials may not {doing} {target.uri}{said}: check the policy of the {target.noun} and {secret}"
        )
    if code in codes.no_upload:
        return errors.NotFound, f"the upload of {target.uri} is not there, or a part of it{said}: it must be begun anew"
    if status == 404 and answer.foreign:
        return type(other_protocol(target, codes)), (
            f"{target.endpoint} does not answer as {codes.protocol} does{said}: correct {target.field}.endpoint"
        )
    if status == 404 or code in codes.no_object:
        return errors.NotFound, f"there is no object {target.uri}"
    if status == 412 or code in codes.changed:
        return errors.Changed, f"{target.uri} is no longer the version that was listed"
    if status == 416:
        return errors.Corrupt, f"{target.uri} is shorter than what was to be read: it was changed or damaged"
    if status in (301, 302, 307, 308) or code in codes.elsewhere:
        return errors.StoreError, (
            f"{target.endpoint} sends {bucket} elsewhere{said}: correct {target.field}.region or {target.field}.endpoint"
        )
    return errors.StoreError, f"{target.endpoint} refused to {doing} {target.uri}{said}"


def _judge_network(text: str, target: Target, codes: Codes) -> tuple[type[StoreError], str]:
    endpoint, field = target.endpoint, target.field
    if certificate := _CERTIFICATE.search(text):
        why = certificate[0].strip()
        return errors.CertificateInvalid, f"the certificate of {endpoint} is not trusted ({why}): set {field}.caBundle"
    if name := _NAME.search(text):
        return errors.EndpointUnreachable, f"the name of {endpoint} cannot be looked up ({name[1]}): correct {field}.endpoint"
    if _TLS.search(text):
        return errors.EndpointUnreachable, (
            f"{endpoint} does not speak TLS: write http:// in {field}.endpoint, or use its TLS port"
        )
    if proxy := _PROXY.search(text):
        return errors.EndpointUnreachable, f"the proxy gives no way to {endpoint} ({proxy[1]}): check {field}.proxyURL"
    connecting = text.startswith(_CONNECTING)
    kind: type[StoreError] = errors.EndpointUnreachable if connecting else errors.Unavailable
    if system := _SYSTEM.search(text):
        return kind, f"{endpoint} cannot be reached: {system[1].strip().lower()}"
    if _TIMEOUT in text:
        return kind, f"{endpoint} did not answer in time"
    if connecting:
        return kind, f"{endpoint} cannot be reached"
    if _OTHER_PROTOCOL in text:
        return errors.EndpointUnreachable, f"{endpoint} does not answer as {codes.protocol} does: correct {field}.endpoint"
    return errors.Unavailable, f"the connection to {endpoint} broke off"


def _said(answer: Answer) -> str:
    parts = [str(answer.status) if answer.status else "", answer.code]
    text = " ".join(p for p in parts if p)
    if answer.message:
        text = f"{text}: {answer.message.rstrip('.')}" if text else answer.message.rstrip(".")
    return f" ({text})" if text else ""
