"""The test kit's own look into a journal."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.transfer.journal import Journal
from tests.integration.journal_reader import JournalReader
from tests.integration.ship_kit import NOBODY


@pytest.fixture
def state() -> Iterator[Path]:
    # Not tmp_path: other users may not look into that.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_what_the_journal_says_or_nothing_yet(state: Path) -> None:
    path = state / "journal.db"
    reader = JournalReader(path, None)
    assert reader.ask("SELECT 1", ()) == []
    journal = Journal(str(path))
    assert reader.ask("SELECT value, ? FROM facts WHERE name = 'lives'", ("é",)) == [(1, "é")]
    journal.close()
    reader.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_it_is_asked_as_the_user_whose_it_is(state: Path) -> None:
    path = state / "journal.db"
    Journal(str(path)).close()
    os.chown(path, NOBODY, NOBODY)
    reader = JournalReader(path, NOBODY)
    # To read it, the files beside it have to be made: here by nobody, who may not, and for a `ship` by the user that it runs as.
    assert reader.ask("SELECT value, ? FROM facts", ("é\n",)) == []
    os.chown(state, NOBODY, NOBODY)
    assert reader.ask("SELECT value, ? FROM facts", ("é\n",)) == [(1, "é\n")]
    reader.close()
