"""From what an S3 service or the network answered to a StoreError: a decision on text, without I/O."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from datums.stores import errors
from datums.stores.errors import StoreError


class Target(NamedTuple):
    """What was spoken to; for messages."""

    store: str
    """`<namespace>/<name>`."""
    bucket: str
    endpoint: str
    key: str = ""
    """Empty: the bucket."""

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Answer(NamedTuple):
    """What is known of a request that failed."""

    status: int = 0
    """HTTP status; 0 where there was no answer."""
    code: str = ""
    """S3's error code."""
    message: str = ""
    """S3's message."""
    network: str = ""
    """What the network layer says."""


_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_REDIRECT: Final = re.compile(r"redirect", re.IGNORECASE)
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_DELETE_CODE: Final = re.compile(r"\(code: ([A-Za-z0-9]{1,64})\)")
_MESSAGE: Final = re.compile(r"<Message>([^<]{1,300})")
_CERTIFICATE: Final = re.compile(
    r"InvalidCertificate\(\s*(?:Other\(\s*OtherError\(\s*)?(\w+)|(certificate verify failed[^)\]]*|CERTIFICATE_VERIFY_FAILED)"
)
_OS: Final = re.compile(r'Os \{\s*code: \d+,\s*kind: \w+,\s*message: "([^"]{1,200})"|Error\(\d+, \'([^\']{1,200})\'\)')
_DNS: Final = re.compile(r'"?failed to lookup address information: ([^"]{1,100})|(Name or service not known)')
_TLS: Final = re.compile(r"InvalidContentType|InvalidMessage|WRONG_VERSION_NUMBER|AlertReceived|HandshakeFailure")
_CONNECTING: Final = re.compile(r"\bConnect\b")
_TIMEOUT: Final = re.compile(r"TimedOut|timed out|Timeout", re.IGNORECASE)

_BAD_KEY: Final = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "AuthFailure",
}
_BUSY: Final = {
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestLimitExceeded",
    "TooManyRequests",
    "Throttling",
}
_CLOCK: Final = frozenset(["RequestTimeTooSkewed", "RequestExpired"])


def read_answer(text: str) -> Answer:
    """What a message of obstore tells."""
    status, code, message = _STATUS.search(text), _CODE.search(text) or _DELETE_CODE.search(text), _MESSAGE.search(text)
    return Answer(
        status=int(status[1]) if status else 0,
        code=code[1] if code else "",
        message=message[1].strip() if message else "",
        network="" if status or code else text,
    )


def classify(answer: Answer, target: Target, doing: str) -> StoreError:
    """The error that an answer means.

    Args:
        doing: what was tried, such as `read` or `write`; for the sentence.
    """
    kind, sentence = _judge(answer, target, doing)
    return kind(sentence, store=target.store, key=target.key)


def _judge(answer: Answer, target: Target, doing: str) -> tuple[type[StoreError], str]:
    store, bucket = f"DataStore {target.store}", f"bucket {target.bucket!r}"
    said = _said(answer)
    if answer.network:
        return _judge_network(answer.network, target, store)
    if answer.code == "NoSuchBucket":
        return errors.BucketNotFound, f"{store}: there is no {bucket} at {target.endpoint}: create it, or correct spec.s3.bucket"
    if answer.code in _CLOCK:
        return errors.ClockSkew, f"{store}: {target.endpoint} finds the clock of this node wrong{said}: synchronise the clocks"
    if answer.code in _BAD_KEY:
        return (
            errors.AccessDenied,
            f"{store}: {target.endpoint} does not accept the credentials{said}: correct the Secret of spec.credentials.secretRef",
        )
    if answer.code in _BUSY or answer.status in (408, 425, 429) or answer.status >= 500:
        return errors.Unavailable, f"{store}: {target.endpoint} could not {doing} {target.uri} now{said}"
    if answer.status in (401, 403) or answer.code in ("AccessDenied", "AllAccessDisabled"):
        return (
            errors.AccessDenied,
            f"{store}: the credentials may not {doing} {target.uri}{said}: check the bucket's policy and the Secret of "
            "spec.credentials.secretRef",
        )
    if answer.status == 404 or answer.code == "NoSuchKey":
        return errors.NotFound, f"{store}: there is no object {target.uri}"
    if answer.status == 412 or answer.code == "PreconditionFailed":
        return errors.Changed, f"{store}: {target.uri} is no longer the version that was listed"
    if answer.status == 416:
        return errors.Corrupt, f"{store}: {target.uri} is shorter than what was to be read: it was changed or damaged"
    if answer.status in (301, 302, 307, 308) or answer.code in ("PermanentRedirect", "AuthorizationHeaderMalformed"):
        return (
            errors.StoreError,
            f"{store}: {target.endpoint} sends {bucket} elsewhere{said}: correct spec.s3.region or spec.s3.endpoint",
        )
    return errors.StoreError, f"{store}: {target.endpoint} refused to {doing} {target.uri}{said}"


def _judge_network(text: str, target: Target, store: str) -> tuple[type[StoreError], str]:
    if certificate := _CERTIFICATE.search(text):
        why = certificate[1] or certificate[2]
        return (
            errors.CertificateInvalid,
            f"{store}: the certificate of {target.endpoint} is not trusted ({why}): set spec.s3.caBundle",
        )
    if dns := _DNS.search(text):
        return (
            errors.EndpointUnreachable,
            f"{store}: the name of {target.endpoint} cannot be looked up ({dns[1] or dns[2]}): correct spec.s3.endpoint",
        )
    if _TLS.search(text):
        return (
            errors.EndpointUnreachable,
            f"{store}: {target.endpoint} does not speak TLS: write http:// in spec.s3.endpoint, or use its TLS port",
        )
    connecting = _CONNECTING.search(text) is not None
    if system := _OS.search(text):
        kind: type[StoreError] = errors.EndpointUnreachable if connecting else errors.Unavailable
        return kind, f"{store}: {target.endpoint} cannot be reached: {(system[1] or system[2]).lower()}"
    if _TIMEOUT.search(text):
        kind = errors.EndpointUnreachable if connecting else errors.Unavailable
        return kind, f"{store}: {target.endpoint} did not answer in time"
    if connecting:
        return errors.EndpointUnreachable, f"{store}: {target.endpoint} cannot be reached"
    if "invalid XML" in text or "Xml" in text or "Got invalid" in text:
        return errors.EndpointUnreachable, f"{store}: {target.endpoint} does not answer as S3 does: correct spec.s3.endpoint"
    return errors.Unavailable, f"{store}: the connection to {target.endpoint} broke off"


def _said(answer: Answer) -> str:
    parts = [str(answer.status) if answer.status else "", answer.code]
    text = " ".join(p for p in parts if p)
    if answer.message:
        text = f"{text}: {answer.message.rstrip('.')}" if text else answer.message.rstrip(".")
    return f" ({text})" if text else ""
