"""Which unfinished uploads are thrown away."""

from __future__ import annotations

import pytest

from datums.control.abandoned import abandoned, live_attempts
from datums.model.layout import attempt_prefix
from datums.stores.protocol import PendingUpload

UID = "0a1b2c3d-0000-4000-8000-000000000000"
OLD, YOUNG = 100.0, 200.0
OURS = "datums/projects/churn/executions"


def execution(reason: str = "Running", attempt: int = 2) -> dict[str, object]:
    word = {"Running": "Unknown", "Committed": "True"}.get(reason, "False")
    condition = {"type": "Succeeded", "status": word, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {
        "metadata": {"name": "train", "namespace": "churn", "uid": UID},
        "spec": {"image": "i", "command": "c"},
        "status": {"attempt": attempt, "conditions": [condition]},
    }


def chosen(key: str, *executions: dict[str, object], started: float = OLD, namespaces: tuple[str, ...] = ()) -> bool:
    pending = [PendingUpload(key, "id", started)]
    live = live_attempts(executions)
    return bool([*abandoned(pending, prefix="datums", live=live, begun_before=150.0, namespaces=namespaces)])


def key(attempt: int) -> str:
    return f"{attempt_prefix('datums', 'churn', 'train', UID, attempt)}files/big.bin"


@pytest.mark.parametrize(
    ("attempt", "executions", "gone"),
    [
        (1, [], True),
        (2, [execution()], False),
        (1, [execution()], True),
        (3, [execution()], False),
        (2, [execution("Committed")], True),
        (2, [execution("OutputsLost")], True),
        (1, [{**execution(), "status": {}}], False),
    ],
)
def test_what_runs_is_left_alone(attempt: int, executions: list[dict[str, object]], gone: bool) -> None:
    assert chosen(key(attempt), *executions) is gone


def test_an_execution_of_the_same_name_is_another_one() -> None:
    other = {**execution(), "metadata": {"name": "train", "namespace": "churn", "uid": "ffffffff" + UID[8:]}}
    assert chosen(key(2), other)


def test_what_is_young_is_left_alone() -> None:
    assert not chosen(key(1), started=YOUNG)


def test_an_operator_of_some_namespaces_knows_only_their_executions() -> None:
    assert chosen(key(1), namespaces=("churn", "lab"))
    assert not chosen(key(1), namespaces=("lab",))


@pytest.mark.parametrize(
    "key",
    [
        "raw/big.bin",
        "datums/big.bin",
        f"lab/{OURS}/train-0a1b2c3d/1/files/x",
        "datums/projects/churn/sets/abc.json",
        f"{OURS}/train-0a1b2c3d/x",
        f"{OURS}/train-0a1b2c3d/0/x",
        f"{OURS}/train-0a1b2c3d/1/",
        f"{OURS}/train-0a1b2c3d/one/x",
    ],
)
def test_nothing_that_is_not_an_attempts_own_is_touched(key: str) -> None:
    assert not chosen(key)
