"""Conditions as pure functions: find one, set one."""

from collections.abc import Sequence

from msgspec.structs import replace

from datums.api.meta import Condition


def get_condition(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((condition for condition in conditions if condition.type == type_), None)


def set_condition(conditions: Sequence[Condition], condition: Condition) -> tuple[Condition, ...]:
    """The conditions with this one in place of its type's old one, sorted by type.

    `last_transition_time` stays the old one's as long as the status is the same, so that setting the same thing again
    gives an equal tuple and nothing has to be written.
    """
    old = get_condition(conditions, condition.type)
    if old is not None and old.status == condition.status:
        condition = replace(condition, last_transition_time=old.last_transition_time)
    others = [other for other in conditions if other.type != condition.type]
    return tuple(sorted([*others, condition], key=lambda each: each.type))


def is_true(conditions: Sequence[Condition], type_: str) -> bool:
    """Whether the condition of that type is there and True."""
    condition = get_condition(conditions, type_)
    return condition is not None and condition.status == "True"


def is_settled(conditions: Sequence[Condition], type_: str) -> bool:
    """Whether the condition of that type is there and no longer Unknown."""
    condition = get_condition(conditions, type_)
    return condition is not None and condition.status != "Unknown"
