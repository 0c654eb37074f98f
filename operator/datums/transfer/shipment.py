"""One attempt's outputs, from main's start to the commit and the verdict that lets gate end."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import threading
import time
from pathlib import Path

import msgspec

from datums.model import layout, podpaths
from datums.model import plan as plans
from datums.model.commit import GateResult, Phase, Report, Resolved
from datums.transfer import seal
from datums.transfer.inventory import take_inventory
from datums.transfer.journal import Committed, Journal
from datums.transfer.lifeline import Lifeline, Main, StopLine
from datums.transfer.live import LiveUploads
from datums.transfer.patient import PatientStore
from datums.transfer.places import Places, drop_undone_takes
from datums.transfer.rate import Rate
from datums.transfer.remaining import left_to_do
from datums.transfer.report import Reporter
from datums.transfer.say import say
from datums.transfer.strays import abort_strays
from datums.transfer.termination import Termination
from datums.transfer.uploads import Uploader

_TICK_SECONDS = 0.2
_GATE_SECONDS = 1.0
_LAST_REPORT_SECONDS = 1.0


class ShipPaths(msgspec.Struct, frozen=True, kw_only=True):
    """Where `ship` finds and leaves things."""

    outputs: Path
    """The whole outputs volume."""
    run: Path
    state: Path
    secret: Path
    stop: Path
    main_ended: Path
    token: Path
    agent_port: int = podpaths.AGENT_PORT

    @staticmethod
    def below(root: str) -> ShipPaths:
        """The pod's paths below another root; `/` for the pod itself."""

        def at(path: str) -> Path:
            return Path(root) / path.lstrip("/")

        return ShipPaths(
            outputs=at(podpaths.OUTPUTS_VOLUME),
            run=at(podpaths.RUN),
            state=at(podpaths.STATE),
            secret=at(podpaths.SECRET),
            stop=at(podpaths.PODINFO_STOP),
            main_ended=at(podpaths.PODINFO_MAIN_ENDED),
            token=at(podpaths.TOKEN),
        )


def ship(paths: ShipPaths, lifeline: Lifeline) -> None:
    """Saves, commits, and returns on the SIGTERM that comes after the commit.

    SIGTERM before it says nothing but that the pod is being deleted: the work goes on until SIGKILL.
    """
    termination = Termination()
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # see outputs.is_open_for_writing
    gc.freeze()  # what the modules hold stays
    shipment = Shipment(paths, lifeline)
    shipment.run()
    while not termination.wait(_GATE_SECONDS):
        # Again and again: whoever can open the FIFO could have taken the line away from gate.
        shipment.open_gate()
    shipment.close()


class Shipment:
    """The state of the work; what must outlive the process is in the journal."""

    def __init__(self, paths: ShipPaths, lifeline: Lifeline) -> None:
        self._paths = paths
        self._journal = journal = Journal(str(paths.state / "journal.db"))
        self._plan = plans.decode((paths.secret / "plan.json").read_bytes())
        self._access = access = self._plan.stores[self._plan.output.store]
        self._reporter = Reporter(self._plan.agent_url, str(paths.token))
        self._store = PatientStore(access, paths.secret, self._report)
        self._places = Places.open(paths.outputs)
        self._uploader = Uploader(
            self._store,
            seal.attempt_prefix(self._plan, access),
            self._places,
            journal,
            threads=access.concurrency,
            part_bytes=access.part_size_mib << 20,
            on_trouble=self._report,
        )
        self._main = Main(lifeline, str(paths.main_ended), started=journal.started, on_start=journal.note_started)
        self._stop = StopLine(str(paths.stop), str(paths.run / "stop"))
        self._gate = os.open(paths.run / "gate", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._packs = self._plan.output.packs == "Auto"
        self._phase: Phase = "Running"
        self._totals = (0, 0)
        self._detail: str | None = None
        self._rate = Rate(self._uploader.sent_bytes)

    def run(self) -> None:
        """Returns when the commit lies in the store and gate may end."""
        if self._journal.committed is None:
            drop_undone_takes(self._places, self._journal)
            if self._journal.lives > 1 or self._plan.execution.attempt > 1:
                threading.Thread(target=self._abort_strays, name="abort-strays", daemon=True).start()
            reserving = threading.Thread(target=self._reserve, name="reserve-set", daemon=True)
            reserving.start()
            if self._journal.ended is None:
                self._await_main()
            self._save()
            reserving.join()
            self._reserve()
            self._commit()
        self._verdict()

    def open_gate(self) -> None:
        """Wakes gate, which looks for the verdict then."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._gate, b"\n")

    def close(self) -> None:
        """Gives the last report a moment."""
        self._reporter.close(_LAST_REPORT_SECONDS)
        self._uploader.close()

    def _reserve(self) -> None:
        if not self._journal.set:
            set_hex = seal.reserve_set(self._store, self._plan, self._access)
            self._uploader.insist(lambda: self._journal.note_set(set_hex))

    def _abort_strays(self) -> None:
        going_on = {upload.upload for upload in self._journal.uploads()}
        begun = self._uploader.parts.begun
        prefix = seal.execution_prefix(self._plan, self._access)
        manifest = layout.manifest_key(seal.attempt_prefix(self._plan, self._access), "").removesuffix(".jsonl.zst")
        abort_strays(
            self._store,
            prefix,
            self._plan.execution.attempt,
            lambda upload: upload.upload in going_on or upload.key in begun or upload.key.startswith(manifest),
        )

    def _abort_what_is_left(self) -> None:
        """All files are saved or refused: no upload of this attempt goes on."""
        for upload in self._journal.uploads():
            self._uploader.parts.abandon(upload)
        if self._journal.in_parts:
            prefix = seal.attempt_prefix(self._plan, self._access)
            execution = seal.execution_prefix(self._plan, self._access)
            abort_strays(self._store, execution, self._plan.execution.attempt, lambda upload: not upload.key.startswith(prefix))

    def _await_main(self) -> None:
        live = LiveUploads(self._places, self._journal, self._uploader, pack=self._packs)
        live.start()
        door = self._open_door()
        while not self._main.ended(_TICK_SECONDS):
            if door is not None:
                threading.Thread(target=self._serve_main, args=(door,), name="start-agent", daemon=True).start()
                door = None
            if self._stop.pass_on():
                say("told main to stop")
            self._uploader.wait(0)
            if self._main.started:
                self._report()
        ended = time.time()
        self._uploader.insist(lambda: self._journal.note_ended(ended))
        live.stop()

    def _open_door(self) -> socket.socket | None:
        """Where main may call from now on."""
        try:
            return socket.create_server(("127.0.0.1", self._paths.agent_port))
        except OSError as error:
            say(f"set_status_detail will not work: 127.0.0.1:{self._paths.agent_port}: {error.strerror}")
            return None

    def _serve_main(self, door: socket.socket) -> None:
        # Imported here, for it takes long: main need not wait for it, and what has ended before needs none of it.
        from datums.transfer.local_agent import LocalAgent  # noqa: PLC0415

        try:
            LocalAgent(door, podpaths.status_detail_path(self._plan.execution.uid), self._take_detail)
        except OSError as error:
            say(f"set_status_detail will not work: {error.strerror}")

    def _take_detail(self, detail: str) -> None:
        self._detail = detail
        self._report()

    def _save(self) -> None:
        self._uploader.final = True
        self._phase = "Uploading"
        self._report()
        found = self._uploader.expect_small if self._packs else lambda _: None
        self._totals = self._uploader.insist(lambda: take_inventory(self._journal, self._places.files, found=found))
        self._report()
        for submit in left_to_do(self._journal, self._places, self._uploader, pack=self._packs):
            while not self._uploader.wait_for_room(_TICK_SECONDS):
                self._report()
            submit()
        while not self._uploader.wait(_TICK_SECONDS):
            self._report()

    def _commit(self) -> None:
        self._phase = "Committing"
        self._report()
        spool = self._paths.state / "manifest"
        resolved = _resolved(self._paths.state / "inputs.json")
        into = (self._store, self._plan, self._access, self._journal, resolved)
        listed = self._uploader.insist(lambda: seal.write_manifest(*into, spool))
        self._uploader.insist(self._abort_what_is_left)
        saved = self._uploader.insist(lambda: seal.commit(*into, listed)).outputs
        self._uploader.insist(lambda: self._journal.note_committed(Committed(saved.files, saved.bytes)))
        say(f"committed {saved.files} files, {saved.bytes} bytes; {saved.refused} refused")

    def _verdict(self) -> None:
        committed = self._journal.committed
        assert committed is not None
        temporary = self._paths.run / ".verdict"
        temporary.write_bytes(msgspec.json.encode(GateResult(committed=True)))
        temporary.rename(self._paths.run / "verdict")
        self.open_gate()
        self._phase, self._totals = "Committed", (committed.files, committed.bytes)
        self._report()

    def _report(self) -> None:
        if self._phase == "Running" and not self._main.started:
            return
        files, size = self._totals
        if self._phase != "Committed":
            files, size = self._journal.files, self._uploader.sent_bytes
        self._reporter.send(
            Report(
                phase=self._phase,
                files=files,
                bytes=size,
                total_files=self._totals[0],
                total_bytes=self._totals[1],
                rate=self._rate.of(self._uploader.sent_bytes),
                trouble=self._store.trouble or self._uploader.trouble,
                status_detail=self._detail,
            )
        )


def _resolved(path: Path) -> Resolved:
    """What `fetch` left; nothing where it had no input."""
    return msgspec.json.decode(path.read_bytes(), type=Resolved) if path.exists() else Resolved()
