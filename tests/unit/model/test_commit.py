"""Termination messages fit what the kubelet keeps, and every key fits what a bucket takes."""

import msgspec
import pytest

from datums.model import layout
from datums.model.commit import TERMINATION_MESSAGE_BYTES, FetchResult, bounded_message


@pytest.mark.parametrize("text", ["x" * 10_000, "ü" * 10_000, '"\\' * 5_000, "\x01" * 10_000, "short"])
def test_a_termination_message_is_never_cut_by_the_kubelet(text: str) -> None:
    data = bounded_message(FetchResult(reason="InputNotFound", message=f"START {text} END"))
    assert len(data) <= TERMINATION_MESSAGE_BYTES
    result = msgspec.json.decode(data, type=FetchResult)
    assert result.reason == "InputNotFound"
    assert result.message.startswith("START")


def test_both_ends_of_a_long_message_are_kept() -> None:
    result = msgspec.json.decode(bounded_message(FetchResult(message=f"START {'x' * 10_000} END")), type=FetchResult)
    assert result.message.startswith("START") and result.message.endswith("END")


def test_keys() -> None:
    attempt = layout.attempt_prefix("datums", "churn", "train-7", "0123456789ab", 2)
    assert attempt == "datums/projects/churn/executions/train-7-01234567/2/"
    assert layout.file_key(attempt, "a/b.csv", 0) == attempt + "files/a/b.csv"
    assert layout.file_key(attempt, "a/b.csv", 1) == attempt + "again/1/a/b.csv"
    assert layout.set_key("datums", "churn", "0123456789abcde") == "datums/projects/churn/sets/0123456789abcde.json"
    assert layout.set_key("", "churn", "0123456789abcde") == "projects/churn/sets/0123456789abcde.json"


@pytest.mark.parametrize("sequence", [0, 3])
def test_a_path_too_long_for_a_key_gets_a_key_of_its_own(sequence: int) -> None:
    attempt = layout.attempt_prefix("datums", "churn", "train-7", "0123456789ab", 2)
    longs = {layout.file_key(attempt, "ü" * 500 + tail, sequence) for tail in "ab"}
    assert len(longs) == 2
    assert all(key.startswith(attempt + "long/") and len(key.encode()) <= layout.MAX_KEY_BYTES for key in longs)
