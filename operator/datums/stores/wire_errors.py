"""What libcurl says of a request that failed, in the words that `answers` knows."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

import pycurl

if TYPE_CHECKING:
    from datums.stores.libcurl import Handle

_NAME: Final = (pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY)
_CERTIFICATE: Final = (pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE)
_WEIRD_SERVER_REPLY: Final = 8  # pycurl has no name for it
_INVALID: Final = (_WEIRD_SERVER_REPLY, pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FILESIZE_EXCEEDED)
_CONNECTING: Final = (pycurl.E_COULDNT_CONNECT, pycurl.E_SSL_CONNECT_ERROR)
_SYSTEM: Final = (pycurl.E_COULDNT_CONNECT, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR)
_TUNNEL: Final = re.compile(r"CONNECT tunnel failed, response (\d+)|Proxy CONNECT aborted|Received HTTP code (\d+) from proxy")


def explain(handle: pycurl.Curl | Handle, code: int, text: str) -> str:
    """What went wrong; with `Connect` where there was no connection yet."""
    if tunnel := _TUNNEL.search(text):
        return f"Connect Tunnel connection failed: {tunnel[1] or tunnel[2] or 'the proxy has hung up'}"
    if code in _NAME:
        return "Connect failed to lookup address information: Name or service not known"
    if code in _CERTIFICATE:
        return f"Connect certificate verify failed: {text.rpartition(': ')[2]}"
    if code in _INVALID:
        return f"Got invalid answer: {text}"
    # Not by CONNECT_TIME, which is 0 on a connection that is used again.
    connect = "Connect " if code in _CONNECTING or not handle.getinfo(pycurl.REQUEST_SIZE) else ""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return f"{connect}timed out: {text}"
    number = int(handle.getinfo(pycurl.OS_ERRNO))
    if number and code in _SYSTEM:
        return f"{connect}[Errno {number}] {os.strerror(number)}"
    return f"{connect}{text}"
