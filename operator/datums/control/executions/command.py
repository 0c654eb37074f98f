"""The command as main runs it: `{parameters}` and its kin expanded, a list joined. Pure."""

from __future__ import annotations

from typing import Any

from valohai_yaml.commands import build_command, join_command
from valohai_yaml.objs.parameter import MultipleMode
from valohai_yaml.objs.parameter import Parameter as YamlParameter
from valohai_yaml.objs.parameter_map import ParameterMap

from datums.api.execution import ExecutionSpec, Parameter
from datums.api.reasons import Failed
from datums.control.executions.errors import NotStartable


def command_of(spec: ExecutionSpec) -> str:
    """The shell script: the items of a list one after the other, so that the last one's exit code decides.

    Raises:
        NotStartable: a parameter's style cannot be filled in.
    """
    for parameter in spec.parameters:
        _check_style(parameter)
    known = {p.name: _declared(p) for p in spec.parameters}
    given = ParameterMap(parameters=known, values=values_of(spec))
    lines = spec.command if isinstance(spec.command, str) else list(spec.command)
    return str(join_command(build_command(lines, given), "\n"))


def values_of(spec: ExecutionSpec) -> dict[str, Any]:
    """The parameters by name, for `parameters.json`; those without a value are None."""
    return {p.name: list(p.value) if isinstance(p.value, tuple) else p.value for p in spec.parameters}


def _declared(parameter: Parameter) -> YamlParameter:
    # A parameter without a value is known and has none: it is left off the command line.
    many = MultipleMode.REPEAT if isinstance(parameter.value, tuple) else None
    return YamlParameter(name=parameter.name, pass_as=parameter.style, multiple=many)


def _check_style(parameter: Parameter) -> None:
    try:
        (parameter.style or "").format_map({"name": "", "value": "", "v": ""})
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise NotStartable(
            Failed.INVALID_SPEC,
            f"spec.parameters[{parameter.name}].style {parameter.style!r} cannot be filled in ({error}): it may hold {{name}} and "
            "{value}; write {{ and }} for braces",
        ) from None
