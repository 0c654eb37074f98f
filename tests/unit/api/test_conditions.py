"""Conditions: one for each type, sorted, with a transition time that moves only with the status."""

from datums.api.conditions import get_condition, is_settled, is_true, set_condition
from datums.api.meta import Condition

MORNING, NOON = "2026-11-24T08:00:00Z", "2026-11-24T12:00:00Z"


def condition(type_: str = "Ready", status: str = "True", reason: str = "Probed", at: str = MORNING) -> Condition:
    return Condition(type=type_, status=status, reason=reason, last_transition_time=at)  # type: ignore[arg-type]


def test_a_first_condition_is_taken_as_it_is() -> None:
    assert set_condition((), condition()) == (condition(),)


def test_the_same_status_keeps_the_time_and_takes_the_reason() -> None:
    after = set_condition((condition(reason="Probed"),), condition(reason="ReadOnly", at=NOON))
    assert after == (condition(reason="ReadOnly", at=MORNING),)


def test_setting_the_same_again_changes_nothing() -> None:
    before = (condition(),)
    assert set_condition(before, condition(at=NOON)) == before


def test_another_status_moves_the_time() -> None:
    after = set_condition((condition(status="True"),), condition(status="False", at=NOON))
    assert after == (condition(status="False", at=NOON),)


def test_other_types_stay_and_the_order_is_that_of_the_types() -> None:
    first, last = condition("Alpha"), condition("Omega")
    after = set_condition((last, first), condition("Ready", at=NOON))
    assert [each.type for each in after] == ["Alpha", "Omega", "Ready"]
    assert first in after
    assert last in after


def test_conditions_are_found_by_their_type() -> None:
    conditions = (condition("Alpha", "False"), condition("Ready", "Unknown"), condition("Succeeded", "True"))
    assert get_condition(conditions, "Ready") == conditions[1]
    assert get_condition(conditions, "Missing") is None


def test_true_and_settled() -> None:
    answers = {}
    for status in ("True", "False", "Unknown"):
        conditions = (condition(status=status),)
        answers[status] = (is_true(conditions, "Ready"), is_settled(conditions, "Ready"))
    assert answers == {"True": (True, True), "False": (False, True), "Unknown": (False, False)}
    assert not is_true((), "Ready")
    assert not is_settled((), "Ready")
