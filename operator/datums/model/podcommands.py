"""What main and gate run: a few lines of shell, for the static busybox that `fetch` leaves in the run directory.

The user's image needs nothing of its own, not even a shell. Every applet is called through the busybox by its path: main's PATH is
the user's.
"""

from __future__ import annotations

from datums.model import podpaths

# $0 is the run directory, $1 the command.
_MAIN = """
(
  read -r grace <"$0/stop" || exit
  # A signal to a PID 1 that is still this shell would be lost: give tini the time to take its place.
  "$0/busybox" sleep 0.2
  kill -TERM 1
  "$0/busybox" sleep "$grace"
  kill -KILL -1
) &
if [ -x /bin/sh ]; then set -- /bin/sh -c "$1"; else set -- "$0/busybox" sh -c "$1"; fi
# Held open by PID 1 for as long as the container lives; read-write, so that opening never waits for a reader.
exec 9<>"$0/lifeline" && echo started >&9
exec "$0/tini-static" -g -- "$@"
"""

# $0 is the run directory, $1 the termination log. Main can write to the FIFO, but not to the verdict.
_GATE = """
trap '' TERM
until [ -f "$0/verdict" ]; do read -r _ <"$0/gate"; done
"$0/busybox" cat "$0/verdict" >"$1"
"""


def main_command(command: str, run: str = podpaths.RUN) -> list[str]:
    """Main's container command: runs `command` under tini, tells `ship` that it lives, and stops it when `ship` says so.

    Runs by `/bin/sh` where the image has one, else by the busybox. Exits as the command does. When a line with a grace period
    (seconds) arrives on the stop FIFO, the command's process group gets SIGTERM, and everything in the container SIGKILL after it.

    Args:
        command: the user's, expanded.
        run: the run directory.
    """
    return [f"{run}/busybox", "sh", "-c", _MAIN, run, command]


def gate_command(run: str = podpaths.RUN, termination_log: str = podpaths.TERMINATION_LOG) -> list[str]:
    """Gate's container command: waits for the verdict of `ship`, deaf to SIGTERM, and leaves it as its termination message."""
    return [f"{run}/busybox", "sh", "-c", _GATE, run, termination_log]
