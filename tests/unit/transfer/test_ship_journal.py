from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datums.transfer.database import StateError
from datums.transfer.journal import Committed, Done, Journal, Upload
from datums.transfer.outputs import Identity

IDENTITY = Identity(1, 2, 3, 4, 5)
SHA = "ab" * 32


def reopened(journal: Journal, path: Path) -> Journal:
    journal.close()
    return Journal(str(path))


def test_everything_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    assert (journal.started, journal.ended, journal.set, journal.committed, journal.lives) == (False, None, "", None, 1)
    first, second = journal.new_take("a"), journal.new_take("a")
    assert first != second
    journal.drop_take(first)
    assert [journal.new_key("a"), journal.new_key("a"), journal.new_key("b")] == [0, 1, 0]
    assert [journal.new_pack(), journal.new_pack()] == [0, 1]
    done = Done("a", second, 1, 512, SHA, IDENTITY)
    journal.note_started()
    journal.note_set("0" * 15)
    journal.note_done([done])
    journal.note_ended(1.5)
    journal.note_committed(Committed(1, 3))
    journal = reopened(journal, path)
    assert (journal.started, journal.ended, journal.set, journal.committed) == (True, 1.5, "0" * 15, Committed(1, 3))
    assert list(journal.takes()) == [("a", second)] and journal.done(("a", second)) == done
    assert (journal.files, journal.bytes, journal.lives) == (1, 3, 2)
    assert journal.new_key("a") == 2, "a key that was begun is never given out again"
    assert journal.new_take("a") not in (first, second)
    assert journal.new_pack() == 2
    journal.close()


def test_a_dropped_take_is_not_given_out_again(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"))
    token = journal.new_take("a")
    journal.drop_take(token)
    assert journal.new_take("a") > token and journal.last_take("a") > token
    journal.close()


def test_where_a_saved_file_lies() -> None:
    assert Done("a/b", 0, 2, 0, SHA, IDENTITY).key("p/") == "p/again/2/a/b"
    assert Done("a/b", 0, 2, 512, SHA, IDENTITY).key("p/") == "p/packs/2.tar"


def test_versions_are_counted_whatever_they_were_sent_in(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"))
    assert journal.versions(("a", 0)) == 0
    for n in range(3):
        journal.note_done([Done("a", 0, n, 512, SHA, IDENTITY)])
    assert journal.versions(("a", 0)) == 3
    journal.new_key("b")
    assert journal.versions(("b", 0)) == 1
    journal.close()


def test_numbers_beyond_64_bits_are_kept(tmp_path: Path) -> None:
    """Inodes of stacked file systems, and times far away."""
    odd = Identity(2**63, 2**64 - 1, 3, 32_503_680_000 * 10**9, -(2**70))
    journal = Journal(str(tmp_path / "journal"))
    journal.note_done([Done("a", 0, 0, 0, SHA, odd)])
    found = journal.done(("a", 0))
    assert found is not None and found.identity == odd
    journal.close()


def test_an_upload_in_parts_is_remembered_until_the_file_is_saved(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.expect_parts()
    upload = Upload("a", 0, 0, "id", 16, IDENTITY)
    journal.note_begun(upload)
    journal.note_part(("a", 0), 2, "two")
    journal.note_part(("a", 0), 1, "one")
    journal = reopened(journal, path)
    assert journal.in_parts and journal.upload(("a", 0)) == upload and journal.uploads() == [upload]
    assert journal.parts(("a", 0)) == {1: "one", 2: "two"}
    again = upload._replace(upload="other", number=1)
    journal.note_begun(again)
    assert journal.upload(("a", 0)) == again and journal.parts(("a", 0)) == {}
    journal.note_part(("a", 0), 1, "one")
    journal.note_done([Done("a", 0, 1, 0, SHA, IDENTITY)])
    assert journal.uploads() == [] and journal.parts(("a", 0)) == {}
    journal.close()


def test_a_full_volume_is_an_error_and_leaves_the_journal_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.note_started()
    wal = path.with_name("journal-wal").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal + 100, limits[1]))
    try:
        with pytest.raises(StateError) as caught:
            journal.note_done([Done(f"a{n}", 0, 0, 0, SHA, IDENTITY) for n in range(1000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.errno == errno.EIO and journal.files == 0
    assert journal.done(("a0", 0)) is None
    journal.note_ended(3.0)
    journal = reopened(journal, path)
    assert journal.started and journal.ended == 3.0 and journal.done(("a0", 0)) is None
    journal.close()


_WRITER = """
import os, sys
from datums.transfer.journal import Journal
journal = Journal(sys.argv[1])
while True:
    os.write(1, b"%d\\n" % journal.new_key("a"))
"""


def test_what_was_remembered_survives_sigkill(tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    source = str(Path(__file__).parents[3] / "operator")
    last = -1
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": source}
        ) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            assert first > last
            for _ in range(100):
                last = int(process.stdout.readline())
            process.kill()
            last = max([last, *(int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n"))])
