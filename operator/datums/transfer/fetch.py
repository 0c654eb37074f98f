"""The first container of an execution's pod: loads the inputs and writes down what it loaded. `python3 -m datums.transfer.fetch`.

Can be started again at any time: what is there and whole is kept. Ends with 0, or with 1 and a reason in its termination message.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from datums.model import plan as plans
from datums.model import podpaths
from datums.model.commit import FetchResult, ManifestRef, Resolved, bounded_message
from datums.model.plan import Plan
from datums.stores.errors import StoreError
from datums.transfer.config_files import write_documents
from datums.transfer.fetch_errors import FetchError, failed_reason, from_system
from datums.transfer.fetch_paths import TOOLS, Paths
from datums.transfer.fetch_progress import Progress, Reporting
from datums.transfer.fetch_record import entries, inputs_document, not_reproducible, pin
from datums.transfer.fetch_wanted import InputFiles, Wanted
from datums.transfer.pod_setup import make_directories, prepare_run

if TYPE_CHECKING:
    from datums.stores.protocol import Store

_PARTIAL: Final = ".datums-partial"
_MAX_THREADS: Final = 32


class Fetch:
    """One run of `fetch`.

    Raises (every method):
        FetchError: the inputs cannot be had.
    """

    def __init__(self, plan: Plan, paths: Paths) -> None:
        self._plan = plan
        self._paths = paths
        self._stores: dict[str, Store] = {}
        self._lock = threading.Lock()
        self._progress = Progress()

    def run(self) -> Resolved:
        """Loads everything, and writes what the other containers read."""
        plan, paths = self._plan, self._paths
        prepare_run(paths.run, paths.tools)
        paths.state.mkdir(parents=True, exist_ok=True)
        make_directories(paths.inputs, [declared.name for declared in plan.inputs])
        with Reporting(self._progress, plan.agent_url, str(paths.token)):
            inputs = self._load() if plan.inputs else []
            pinned = [pin(loaded.plan.name, found) for loaded in inputs for found in loaded.links]
            manifest = self._save_manifest(inputs) if inputs else None
        reasons = [reason for loaded in inputs for found in loaded.links if (reason := not_reproducible(loaded.plan.name, found))]
        present = [wanted for loaded in inputs for wanted in loaded.files if not wanted.absent]
        resolved = Resolved(
            files=len(present),
            bytes=sum(wanted.size for wanted in present),
            manifest=manifest,
            pinned=pinned,
            not_reproducible=reasons,
        )
        write_documents(paths.config, self._documents(inputs))
        _write_whole(paths.resolved, msgspec.json.encode(resolved))
        return resolved

    def _load(self) -> list[InputFiles]:
        # Here, for an execution without inputs needs none of it.
        from datums.transfer.download import Downloader  # noqa: PLC0415
        from datums.transfer.fetch_journal import FetchJournal  # noqa: PLC0415
        from datums.transfer.fetch_resolve import Resolver  # noqa: PLC0415
        from datums.transfer.workers import Workers  # noqa: PLC0415

        progress, stopped = self._progress, threading.Event()
        resolver = Resolver(self._plan, self._open, progress)
        inputs = [resolver.resolve(declared) for declared in self._plan.inputs]
        items = [(loaded, wanted) for loaded in inputs for wanted in loaded.files]
        progress.total_files = len(items)
        progress.total_bytes = sum(max(0, wanted.size) for _, wanted in items)
        for loaded in inputs:
            make_directories(self._paths.inputs / loaded.plan.name, loaded.directories)
        partial = self._paths.inputs / _PARTIAL
        _empty(partial)
        journal = FetchJournal(self._paths.state / "fetched.jsonl")
        downloader = Downloader(self._open, partial, journal, progress=progress, stopped=stopped)

        def load(item: tuple[InputFiles, Wanted]) -> None:
            loaded, wanted = item
            target = self._paths.inputs / loaded.plan.name / wanted.path
            downloader.load(loaded.plan.name, wanted, target, optional=loaded.plan.optional)

        Workers(items, load, min(self._threads(), len(items)), stopped).wait()
        partial.rmdir()
        return inputs

    def _threads(self) -> int:
        return min(_MAX_THREADS, max((access.concurrency for access in self._plan.stores.values()), default=4))

    def _open(self, name: str) -> Store:
        with self._lock:
            if name not in self._stores:
                from datums.stores import open_store  # noqa: PLC0415

                access = self._plan.stores[name]
                secret = self._paths.plan.parent / access.credentials
                credentials = msgspec.json.decode(secret.read_bytes(), type=dict[str, str]) if access.credentials else {}
                self._stores[name] = open_store(access, credentials)
            return self._stores[name]

    def _save_manifest(self, inputs: list[InputFiles]) -> ManifestRef:
        from datums.transfer.fetch_manifest import save  # noqa: PLC0415
        from datums.transfer.fetch_retry import Patience  # noqa: PLC0415

        output = self._plan.output.store
        try:
            return Patience(self._progress).call(lambda: save(self._plan, entries(inputs), self._open(output), self._paths.state))
        except StoreError as error:
            raise FetchError(failed_reason(error), f"the list of the loaded inputs cannot be saved: {error}") from None

    def _uri(self, wanted: Wanted) -> str:
        return self._open(wanted.store).uri(wanted.key) if wanted.store else wanted.key

    def _documents(self, inputs: list[InputFiles]) -> dict[str, object]:
        return {
            "execution": self._plan.config,
            "inputs": inputs_document(inputs, self._uri),
            "parameters": self._plan.parameters,
            "runtime": self._plan.runtime,
            "api": {
                "set_status_detail": {
                    "url": podpaths.status_detail_url(self._plan.execution.uid),
                    "method": "POST",
                    "headers": {},
                }
            },
        }


def _empty(directory: Path) -> None:
    """An empty directory, whatever an earlier run has left in it."""
    directory.mkdir(exist_ok=True)
    for left in directory.iterdir():
        left.unlink()


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.rename(path)


def run(paths: Paths) -> FetchResult:
    """Runs `fetch` and says how it ended; an empty reason is success."""
    started = time.monotonic()
    try:
        plan = plans.decode(paths.plan.read_bytes())
        resolved = Fetch(plan, paths).run()
    except FetchError as error:
        return FetchResult(reason=str(error.reason), message=str(error), seconds=time.monotonic() - started)
    except OSError as error:
        failed = from_system(error, error.filename or "a file of the pod", 0)
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
    sys.exit(main())
