"""Public files by https or http. The answer is the file or an error: never a page that says that something went wrong."""

from __future__ import annotations

import http.client
import posixpath
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from datums.stores import errors

_CHUNK_BYTES: Final = 256 << 10
_TIMEOUT_SECONDS: Final = 60.0
_PAGES: Final = frozenset((".html", ".htm", ".xhtml", ".php", ".asp", ".aspx", ".jsp", ""))


class Answer(msgspec.Struct):
    """What the server said of the file, filled in by `read` before the first chunk."""

    size: int = -1
    """Bytes; -1 where the server does not say."""
    etag: str = ""
    last_modified: str = ""


def read(url: str, answer: Answer) -> Iterator[bytes]:
    """The bytes of a public file.

    Args:
        answer: filled in with what the server says of the file.

    Raises:
        StoreError: as for a store. Messages name the URL without its query, which can hold a secret.
    """
    shown = url.partition("?")[0]
    try:
        with _OPENER.open(_request(url), timeout=_TIMEOUT_SECONDS) as response:
            if response.status != 200:
                raise _refused(shown, response.status)
            headers = response.headers
            if headers.get_content_type() == "text/html" and posixpath.splitext(urlsplit(url).path)[1] not in _PAGES:
                raise errors.NotFound(f"{shown} answers with an HTML page instead of the file: correct the link")
            answer.size = int(headers.get("Content-Length", -1))
            answer.etag, answer.last_modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
            got = 0
            while chunk := response.read(_CHUNK_BYTES):
                got += len(chunk)
                yield chunk
            if answer.size not in (-1, got):
                raise errors.Unavailable(f"{shown} ended after {got} of {answer.size} bytes")
    except urllib.error.HTTPError as error:
        raise _refused(shown, error.code) from None
    except urllib.error.URLError as error:
        raise _unreachable(shown, error.reason) from None
    except (OSError, http.client.HTTPException) as error:
        raise errors.Unavailable(f"the connection for {shown} broke off ({type(error).__name__})") from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """At most ten, to http or https only, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        to = urlsplit(newurl).scheme
        if to not in ("https", "http") or (req.type == "https" and to == "http"):
            raise urllib.error.URLError(f"it redirects from {req.type} to {to}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER: Final = urllib.request.build_opener(_Redirects())


def _request(url: str) -> urllib.request.Request:
    # A space or a letter outside ASCII is written as users see it; what is encoded already stays.
    encoded = quote(url, safe="%/:?#[]@!$&'()*+,;=~-._")
    return urllib.request.Request(encoded, headers={"User-Agent": "datums"})  # noqa: S310  the scheme is checked by model/links


def _refused(shown: str, status: int) -> errors.StoreError:
    if status in (404, 410):
        return errors.NotFound(f"{shown} does not exist ({status}): correct the link")
    if status in (401, 403):
        return errors.AccessDenied(f"{shown} is not public ({status}): use a link without login, or put the file into a DataStore")
    if status in (408, 425, 429) or status >= 500:
        return errors.Unavailable(f"{shown} is not available now ({status})")
    return errors.NotFound(f"{shown} answers with status {status} instead of the file: correct the link")


def _unreachable(shown: str, reason: object) -> errors.StoreError:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return errors.CertificateInvalid(f"the certificate of {shown} is not trusted ({reason.verify_message})")
    return errors.EndpointUnreachable(f"{shown} cannot be reached: {getattr(reason, 'strerror', None) or reason}")
