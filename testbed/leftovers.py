"""Files that kubelet and containerd leave in directories of the whole machine, which no setting of theirs moves elsewhere."""

import contextlib
import socket
from pathlib import Path

from testbed.layout import HOME, RUN

LOG_LINKS = Path("/var/log/containers")
CNI_RESULTS = Path("/var/lib/cni/results")
KUBELET_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")
SHIM_SOCKETS = Path("/run/containerd/s")
EMPTIED = (
    LOG_LINKS,
    CNI_RESULTS,
    CNI_RESULTS.parent,
    KUBELET_SOCKET.parent,
    KUBELET_SOCKET.parent.parent,
    SHIM_SOCKETS,
    SHIM_SOCKETS.parent,
)
"""Directories that are removed when nothing else is in them."""


def remove() -> None:
    """Removes those of the testbed; to be called when kubelet and containerd have ended."""
    for path in (*_log_links(), *_cni_results(), *_dead_socket()):
        path.unlink(missing_ok=True)
    for directory in EMPTIED:
        with contextlib.suppress(OSError):  # not there, or something of somebody else's is in it
            directory.rmdir()


def _log_links() -> list[Path]:
    """Links to logs of the testbed's pods."""
    return [link for link in LOG_LINKS.glob("*") if link.is_symlink() and str(link.readlink()).startswith(f"{HOME}/")]


def _cni_results() -> list[Path]:
    """What CNI remembers of network namespaces that lay in the testbed's directory."""
    return [path for path in CNI_RESULTS.glob("*") if path.is_file() and f'"{RUN}/' in path.read_text(errors="replace")]


def _dead_socket() -> list[Path]:
    """The kubelet's socket for device plugins, unless another kubelet of this machine listens on it."""
    if not KUBELET_SOCKET.is_socket():
        return []
    with socket.socket(socket.AF_UNIX) as probe:
        return [KUBELET_SOCKET] if probe.connect_ex(str(KUBELET_SOCKET)) else []
