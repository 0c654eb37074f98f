"""Public files by https or http. The answer is the file or an error: never a page that says that something went wrong."""

from __future__ import annotations

import http.client
import posixpath
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from datums.stores import errors

_CHUNK_BYTES: Final = 256 << 10
_TIMEOUT_SECONDS: Final = 30.0
_SLOW_SECONDS: Final = 60.0
_SLOW_BYTES: Final = 60 << 10
_PAGES: Final = frozenset((".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp", ""))
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Answer(msgspec.Struct):
    """What the server said of the file, filled in by `read` before the first chunk."""

    start: int = 0
    """Where the chunks begin: at what was asked for, or at 0 where the server sends all of it."""
    size: int = -1
    """Of the whole file, bytes; -1 where the server does not say."""
    etag: str = ""
    last_modified: str = ""

    @property
    def is_resumable(self) -> bool:
        """Whether the rest of the same version can be asked for: a weak ETag does not stand for the bytes."""
        return self.etag.startswith('"')


def read(url: str, answer: Answer, *, name: str = "", start: int = 0) -> Iterator[bytes]:
    """The bytes of a public file.

    Args:
        answer: filled in with what the server says of the file; of an earlier answer where the reading goes on.
        name: what the file is going to be called, where that is not the end of the URL.
        start: how many bytes are there already, of the version that `answer` says.

    Raises:
        StoreError: as for a store. Messages name the URL without its query, which can hold a secret.
    """
    shown = url.partition("?")[0]
    try:
        _ = urlsplit(url).port  # nobody else finds one that cannot be
        with _OPENER.open(_request(url, answer, start), timeout=_TIMEOUT_SECONDS) as response:
            _take(response, answer, shown, name or urlsplit(url).path, start)
            got = answer.start
            began, began_at = time.monotonic(), got
            while chunk := response.read1(_CHUNK_BYTES):
                got += len(chunk)
                yield chunk
                if got - began_at >= _SLOW_BYTES:
                    began, began_at = time.monotonic(), got
                elif time.monotonic() - began > _SLOW_SECONDS:
                    raise errors.Unavailable(f"{shown} sends hardly a byte; a new connection is tried")
            if answer.size not in (-1, got):
                raise errors.Unavailable(f"{shown} ended after {got} of {answer.size} bytes")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                answer.etag = ""  # there is no more than came: the next request is for all of it
            raise _refused(shown, error.code, error.headers) from None
    except urllib.error.URLError as error:
        raise _unreachable(shown, error.reason) from None
    except ssl.SSLCertVerificationError as error:
        raise _unreachable(shown, error) from None
    except (ValueError, OverflowError, http.client.InvalidURL):
        raise errors.NotTheFile(f"{shown}, or what it redirects to, is no URL that can be asked for: correct the link") from None
    except (OSError, http.client.HTTPException) as error:
        raise errors.Unavailable(f"the connection for {shown} broke off ({type(error).__name__})") from None


def _take(response: Any, answer: Answer, shown: str, name: str, start: int) -> None:
    headers = response.headers
    etag = headers.get("ETag", "")
    if response.status == 206 and start:
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != start or etag != answer.etag:
            answer.etag = ""  # the next request is for all of it
            raise errors.Unavailable(f"{shown} answers with another part than was asked for")
        answer.start = start
        return
    if response.status != 200:
        raise _refused(shown, response.status, headers)
    if headers.get_content_type() == "text/html" and posixpath.splitext(name)[1].lower() not in _PAGES:
        raise errors.NotTheFile(f"{shown} answers with an HTML page instead of the file: correct the link")
    length = headers.get("Content-Length", "")
    answer.start, answer.size = 0, int(length) if length.isdecimal() else -1
    answer.etag, answer.last_modified = etag, headers.get("Last-Modified", "")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """At most ten, to http or https only, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        target = urlsplit(newurl)
        _, to = target.port, target.scheme
        if to not in ("https", "http") or (req.type == "https" and to == "http"):
            raise urllib.error.URLError(f"it redirects from {req.type} to {to}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER: Final = urllib.request.build_opener(_Redirects())


def _request(url: str, answer: Answer, start: int) -> urllib.request.Request:
    headers = {"User-Agent": "datums"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": answer.etag}
    # A space or a letter outside ASCII is written as users see it; what is encoded already stays.
    encoded = quote(url, safe="%/:?#[]@!$&'()*+,;=~-._")
    return urllib.request.Request(encoded, headers=headers)  # noqa: S310  the scheme is checked by model/links


def _refused(shown: str, status: int, headers: Any) -> errors.StoreError:
    if status in (404, 410):
        return errors.NotFound(f"{shown} does not exist ({status}): correct the link")
    if status in (401, 403):
        return errors.AccessDenied(f"{shown} is not public ({status}): use a link without login, or put the file into a DataStore")
    if status in (429, 503):
        wait = headers.get("Retry-After", "")
        return errors.Throttled(f"{shown} is not available now ({status})", retry_after=float(wait) if wait.isdecimal() else 0.0)
    if status in (408, 416, 425) or status >= 500:
        return errors.Unavailable(f"{shown} is not available now ({status})")
    if status in _REDIRECTS:
        return errors.NotTheFile(
            f"{shown} answers with status {status} and leads round in a circle, or to what is not followed: correct the link"
        )
    return errors.NotTheFile(f"{shown} answers with status {status} instead of the file: correct the link")


def _unreachable(shown: str, reason: object) -> errors.StoreError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return errors.CertificateInvalid(f"the certificate of {shown} is not trusted ({reason.verify_message})")
    return errors.EndpointUnreachable(f"{shown} cannot be reached: {getattr(reason, 'strerror', None) or reason}")
