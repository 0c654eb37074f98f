"""`ship` killed at any moment: the next life goes on where it was.

`DATUMS_SEEDS` says how many moments are tried (20 in a normal run).
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

from datums.model import podpaths
from tests.integration.ship_kit import Pods, ShipPod, run_to_commit, write

SEEDS = int(os.environ.get("DATUMS_SEEDS", "20"))


def test_killed_at_any_moment_it_goes_on(pods: Pods) -> None:
    """SIGKILL at random moments while main writes and after it has ended; one datum per file, bytes identical."""
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(live_and_die, range(SEEDS), [pods() for _ in range(SEEDS)]))


def live_and_die(seed: int, pod: ShipPod) -> None:
    rng = random.Random(seed)
    expected: dict[tuple[str, int], bytes] = {}
    files = rng.choice([12, 12, 200])  # with 200, packs
    pod.start()
    pod.main_starts()
    time.sleep(rng.uniform(0.0, 0.15))
    for n in range(files):
        data = rng.randbytes(rng.choice([0, 10, 10_000, 100_000]))
        path = f"d{n % 3}/f{n}"
        write(pod, path, data, rng.choice([0o644, 0o444]))
        expected[path, 0] = data
    pod.main_was_seen()
    time.sleep(rng.uniform(0.0, 0.5))
    pod.kill()
    if rng.random() < 0.5:
        pod.start()
        time.sleep(rng.uniform(0.05, 0.3))
        pod.kill()
    pod.main_ends()
    for _ in range(rng.randrange(1, 4)):
        pod.start()
        time.sleep(rng.uniform(0.05, 0.4))
        pod.kill()
    pod.start()
    commit = pod.committed()
    assert pod.contents() == expected, seed
    assert len({entry.datum for entry in pod.entries()}) == len(expected)
    assert commit.outputs.refused == 0, (seed, commit.outputs.problems)
    # No key was written twice: every one that was begun is another one.
    begun = pod.ask("SELECT (SELECT coalesce(sum(given), 0) FROM keys), (SELECT sum(value) FROM facts WHERE name = 'packs')")
    stored = [item.key.removeprefix(pod.prefix) for item in pod.store.list(pod.prefix)]
    assert sum(not key.startswith("packs/") and "/" in key for key in stored) <= begun[0][0]
    assert sum(key.startswith("packs/") for key in stored) <= (begun[0][1] or 0)
    pod.close()


def test_killed_after_the_commit_it_adopts_it(pod: ShipPod) -> None:
    write(pod, "f", b"1")
    commit = run_to_commit(pod)
    pod.kill()
    # As if it had died between the commit and its own note of it.
    with sqlite3.connect(pod.at(podpaths.STATE) / "journal.db") as journal:
        journal.execute("DELETE FROM facts WHERE name IN ('files', 'bytes')")
    journal.close()
    pod.at(podpaths.VERDICT).unlink()
    pod.start()
    assert pod.committed() == commit


def test_a_file_that_vanishes_between_two_lives_leaves_no_datum(pod: ShipPod) -> None:
    """What was uploaded early and removed by main before its end is no output."""
    (kept, gone) = (write(pod, name, b"1") for name in ("kept", "gone"))
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.kill()
    gone.unlink()
    pod.main_ends()
    pod.start()
    pod.committed()
    assert set(pod.contents()) == {("kept", 0)} and kept.exists()
