"""The first container of an execution's pod: loads the inputs and writes down what it loaded. `python3 -m datums.transfer.fetch`.

Can be started again at any time: what is there and whole is kept. Ends with 0, or with 1 and a reason in its termination message.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from datums.model import plan as plans
from datums.model import podpaths
from datums.model.commit import FetchResult, Resolved, bounded_message
from datums.model.plan import Plan
from datums.stores.errors import StoreError
from datums.transfer.config_files import write_documents
from datums.transfer.fetch_errors import FetchError, failed_reason, from_system
from datums.transfer.fetch_paths import TOOLS, Paths
from datums.transfer.fetch_progress import Progress, Reporting
from datums.transfer.pod_setup import make_directories, prepare_run


def load(plan: Plan, paths: Paths) -> Resolved:
    """Loads everything, and writes what the other containers read.

    Raises:
        FetchError: the inputs cannot be had.
        OSError: the pod's volumes fail.
    """
    prepare_run(paths.run, paths.tools)
    for directory in (paths.state, paths.config):
        directory.mkdir(parents=True, exist_ok=True)
    make_directories(paths.inputs, [declared.name for declared in plan.inputs])
    documents = _documents(plan)
    resolved = Resolved()
    if plan.inputs:
        # Here, for an execution without inputs needs none of it.
        from datums.transfer.fetch_load import Loading  # noqa: PLC0415

        progress = Progress()
        with Reporting(progress, plan.agent_url, str(paths.token)):
            resolved = Loading(plan, paths, progress).run()
    else:
        documents["inputs"] = {}
    write_documents(paths.config, documents)
    _write_whole(paths.resolved, msgspec.json.encode(resolved))
    return resolved


def _documents(plan: Plan) -> dict[str, object]:
    return {
        "execution": plan.config,
        "parameters": plan.parameters,
        "runtime": plan.runtime,
        "api": {
            "set_status_detail": {
                "url": podpaths.status_detail_url(plan.execution.uid),
                "method": "POST",
                "headers": {},
            }
        },
    }


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.rename(path)


def run(paths: Paths) -> FetchResult:
    """Runs `fetch` and says how it ended; an empty reason is success."""
    started = time.monotonic()
    try:
        plan = plans.decode(paths.plan.read_bytes())
        resolved = load(plan, paths)
    except FetchError as error:
        return FetchResult(reason=str(error.reason), message=str(error), seconds=time.monotonic() - started)
    except StoreError as error:  # of a store that is not even opened: the message names it
        return FetchResult(reason=str(failed_reason(error)), message=str(error), seconds=time.monotonic() - started)
    except OSError as error:
        failed = from_system(error, error.filename2 or error.filename or "a file of the pod", 0)
        return FetchResult(reason=str(failed.reason), message=str(failed), seconds=time.monotonic() - started)
    return FetchResult(files=resolved.files, bytes=resolved.bytes, seconds=time.monotonic() - started)


def main() -> int:
    """The container's command."""
    os.umask(0o022)
    # PID 1 has no default action for signals: without this a deleted pod would wait out its grace period here.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    paths = Paths.below(Path(os.environ.get("DATUMS_ROOT", "/")), Path(os.environ.get("DATUMS_TOOLS", TOOLS)))
    result = run(paths)
    paths.termination_log.write_bytes(bounded_message(result))
    if result.reason:
        print(f"fetch: {result.reason}: {result.message}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"fetch: {result.files} files, {result.bytes} bytes in {result.seconds:.2f} s", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Threads that are still in a call would keep the interpreter from an orderly end.
    os._exit(code)
