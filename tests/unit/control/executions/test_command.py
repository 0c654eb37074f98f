from __future__ import annotations

from typing import Any

import pytest

from datums.control.executions.command import command_of, values_of
from datums.control.executions.errors import NotStartable
from tests.unit.control.executions.kit import execution


@pytest.mark.parametrize(
    ("command", "parameters", "line"),
    [
        ("echo {parameters}", [{"name": "epochs", "value": 5}], "echo --epochs=5"),
        ("echo {parameters}", [{"name": "t", "value": "it's"}], "echo '--t=it'\"'\"'s'"),
        ("echo {parameters}", [{"name": "t", "value": ["a", "b"], "style": "-t {value}"}], "echo -t a -t b"),
        ("echo {parameters}", [{"name": "t", "value": ["a", "b"]}], "echo --t=a --t=b"),
        ("echo {parameters}", [{"name": "none"}, {"name": "x", "value": 1}], "echo --x=1"),
        ("echo {parameters}", [{"name": "f", "value": False}], "echo --f=False"),
        ("echo {parameter:x}", [{"name": "x", "value": 1.5}], "echo --x=1.5"),
        ("echo {parameter-value:x}", [{"name": "x", "value": "a b"}], "echo 'a b'"),
        ("echo ${HOME} {unknown}", [], "echo ${HOME} {unknown}"),
        (["a", "b {parameters}"], [{"name": "x", "value": 1}], "a\nb --x=1"),
        ("a\nb", [], "a\nb"),
    ],
)
def test_command(command: Any, parameters: list[dict[str, Any]], line: str) -> None:
    assert command_of(execution(command=command, parameters=parameters).spec) == line


@pytest.mark.parametrize("style", ["--{nmae}", "--{", "{value.x}", "{0}"])
def test_a_style_that_cannot_be_filled_in_is_named(style: str) -> None:
    with pytest.raises(NotStartable, match="lr") as refused:
        command_of(execution(parameters=[{"name": "lr", "value": 1, "style": style}]).spec)
    assert refused.value.reason == "InvalidSpec"


def test_values() -> None:
    spec = execution(parameters=[{"name": "a", "value": [1, 2]}, {"name": "b"}, {"name": "c", "value": True}]).spec
    assert values_of(spec) == {"a": [1, 2], "b": None, "c": True}
