"""HTTP requests of our own, for what obstore has no form for: each is sent once, to one service, and follows nothing."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, SSLError

from datums.stores.clients import CONNECT_SECONDS, SILENCE_SECONDS, USER_AGENT
from datums.stores.timed import bound_answers

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SLICE: Final = 256 << 10
_SPARE: Final = 8


class Reply(NamedTuple):
    """What the service has answered, whatever the status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float:
        """Seconds that the service asks to wait; 0 where it does not say."""
        said = self.headers.get("retry-after", "")
        if said.isdigit():
            return float(said)
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except ValueError:
            return 0.0


class WireError(Exception):
    """No answer, or not a whole one. The text says what the network layer says, and `Connect` where it got no further."""


class Wire:
    """A pool of connections to one service. Safe to use from several threads.

    Args:
        url: of the service, perhaps with a path, which is left aside.
        ca_bundle: PEM of authorities to trust besides the public ones.
        proxy: URL; empty for what the environment says (`HTTPS_PROXY`, `NO_PROXY`, …), as obstore does.
        connections: that are kept open.
    """

    def __init__(self, url: str, *, ca_bundle: str = "", proxy: str = "", connections: int = 16) -> None:
        service = urlsplit(url)
        self.host = service.netloc
        port = service.port or (443 if service.scheme == "https" else 80)
        proxy = proxy or _environment_proxy(service.scheme, service.hostname or "")
        # Through a proxy, a request over plain http names the whole URL.
        self._before = f"{service.scheme}://{service.netloc}" if proxy and service.scheme == "http" else ""
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
        common: dict[str, object] = {"maxsize": connections + _SPARE, "timeout": timeout}
        if service.scheme == "https":
            common["ssl_context"] = _trusting(ca_bundle)  # some 10 ms, for all the public authorities
        manager = _through(proxy, common) if proxy else urllib3.PoolManager(**common)  # type: ignore[arg-type]
        # The pool itself, for the manager would take away `..` from a path.
        self._pool = manager.connection_from_host(service.hostname, port, service.scheme)
        bound_answers(self._pool)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: Buffer, limit: int) -> Reply:
        """Sends a request and takes its answer.

        Args:
            target: path and query, encoded; begins with a slash.
            limit: the most bytes of an answer that are taken.

        Raises:
            WireError
        """
        size = memoryview(body).nbytes
        every = {**headers, "host": self.host, "content-length": str(size), "user-agent": USER_AGENT}
        try:
            response = self._pool.urlopen(
                method,
                self._before + target,
                body=_slices(body) if size else None,  # type: ignore[arg-type]  # whatever a socket can send
                headers=every,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                data = response.read(limit)
                # Only reading at the end raises for an answer that is shorter than it says.
                if response.read(1):
                    raise WireError(f"Got invalid answer: more than {limit} bytes")
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (ConnectTimeoutError, NewConnectionError, ProxyError, SSLError) as error:
            raise WireError(f"Connect {error}") from None
        except (HTTPError, OSError) as error:
            raise WireError(repr(error)) from None
        return Reply(response.status, response.headers, data)


def _slices(body: Buffer) -> Iterator[memoryview]:
    # One slice at a time, for a socket's timeout is for all that one call sends: a slow line needs its time for a large body.
    view = memoryview(body).cast("B")
    return (view[start : start + _SLICE] for start in range(0, len(view), _SLICE))


def _trusting(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Authorities of one's own often lack what RFC 5280 asks for; obstore takes them, too.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_bundle:
        context.load_verify_locations(cadata=ca_bundle)
    return context


def _through(proxy: str, common: Mapping[str, object]) -> urllib3.ProxyManager:
    parts = urlsplit(proxy)
    login = urllib3.make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}") if parts.username else {}
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return urllib3.ProxyManager(bare, proxy_headers=login, **common)  # type: ignore[arg-type]


def _environment_proxy(scheme: str, host: str) -> str:
    if proxy_bypass(host):
        return ""
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all", "")
