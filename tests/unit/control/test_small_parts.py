"""Errors of the API server, tokens, events, logs, the status of a store: the pure parts."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest

from datums.api.datastore import Capabilities, DataStore
from datums.api.reasons import StoreNotReady, StoreReady
from datums.cli import main
from datums.control import logs
from datums.control.agent import Sender, checked, reviewed
from datums.control.app import by_reason, identity
from datums.control.datastores import Outcome, settled, status_of
from datums.control.kube_errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    Unavailable,
    error_of,
)
from datums.control.recorder import MAX_MESSAGE, bounded, event_name
from datums.control.resources import EXECUTIONS, NAMESPACES, PODS
from datums.model.commit import Report


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Expired),
        (422, "Invalid", Invalid),
        (403, "Forbidden", Forbidden),
        (500, "InternalError", Unavailable),
        (504, "Timeout", Unavailable),
        (400, "BadRequest", KubeError),
    ],
)
def test_answers_become_typed_errors(status: int, reason: str, kind: type[KubeError]) -> None:
    body = {"kind": "Status", "reason": reason, "message": "it is so", "details": {"name": "x"}}
    error = error_of(status, json.dumps(body).encode(), "GET Pod ns/x")
    assert type(error) is kind
    assert str(error) == f"GET Pod ns/x: it is so ({status} {reason})"
    assert error.details == {"name": "x"}


def test_an_answer_of_something_in_between_is_told_as_it_is() -> None:
    error = error_of(502, b"<html>Bad Gateway</html>", "GET Pod ns/x")
    assert isinstance(error, Unavailable)
    assert "<html>Bad Gateway</html>" in str(error)


def test_paths() -> None:
    assert PODS.path("ns", "a b", "status") == "/api/v1/namespaces/ns/pods/a%20b/status"
    assert EXECUTIONS.path() == "/apis/datums.dev/v1alpha1/executions"
    assert NAMESPACES.path(None, "ns") == "/api/v1/namespaces/ns"


def review(**changes: Any) -> dict[str, Any]:
    extra = {"authentication.kubernetes.io/pod-name": ["p"], "authentication.kubernetes.io/pod-uid": ["u"]}
    user = {"username": "system:serviceaccount:ns:default", "extra": extra}
    return {"status": {"authenticated": True, "audiences": ["datums"], "user": user} | changes}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        review(authenticated=False),
        review(audiences=[]),
        review(audiences=["api"]),
        review(user={"username": "admin"}),
        review(user={"username": "system:serviceaccount:ns:default"}),
        review(user={"username": "system:serviceaccount:ns:default", "extra": {"authentication.kubernetes.io/pod-name": ["p"]}}),
    ],
)
def test_tokens_that_are_no_pods_are_nobodys(answer: dict[str, Any]) -> None:
    assert reviewed(answer) is None


def test_a_token_of_a_pod() -> None:
    assert reviewed(review()) == Sender("ns", "p", "u")


def test_reports_are_bounded() -> None:
    long = checked(Report(phase="Running", trouble="x" * 9999, status_detail="y" * 9999))
    assert (len(long.trouble), len(long.status_detail or "")) == (1024, 1024)
    for wrong in (Report(phase="Running", bytes=-1), Report(phase="Running", files=2**70), Report(phase="Running", rate=-0.5)):
        with pytest.raises(ValueError, match=" is "):
            checked(wrong)


def test_events_are_bounded_and_named_by_what_they_say() -> None:
    message = bounded("begin " + "x" * 5000 + " end")
    assert len(message) <= MAX_MESSAGE
    assert message.startswith("begin") and message.endswith("end")
    about = {"name": "n" * 253, "uid": "u"}
    assert len(event_name(about, "Normal", "R", "m")) <= 253
    assert event_name(about, "Normal", "R", "m") == event_name(about, "Normal", "R", "m") != event_name(about, "Normal", "R", "n")


def test_secrets_are_struck_out_of_the_log() -> None:
    logs.strike(["canary-value-1234"])
    line = 'canary-value-1234, Authorization: Bearer abcdefghijklmnop, {"AWS_SECRET_ACCESS_KEY": "aaaabbbbcccc"}'
    line += " ?X-Amz-Signature=ff00&x=1"
    struck = logs.redacted(line)
    for secret in ("canary-value-1234", "abcdefghijklmnop", "aaaabbbbcccc", "ff00"):
        assert secret not in struck
    assert struck.endswith("&x=1")
    assert logs.redacted("executions 3, pods 12: ok") == "executions 3, pods 12: ok"


def test_log_lines_are_json_and_tracebacks_are_struck_too(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:]
    try:
        logs.set_up("INFO", "json")
        logs.strike(["canary-in-a-traceback"])
        try:
            raise ValueError("canary-in-a-traceback")
        except ValueError:
            logging.getLogger("datums.test").exception("failed")
        line = json.loads(capsys.readouterr().err)
    finally:
        logging.getLogger().handlers[:] = before
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "datums.test", "failed")
    assert "ValueError: [redacted]" in line["exc_info"]


CAN = Capabilities(conditional_put=True, ranged_get=True, versioning=False, multipart=True)


def datastore(status: Any = None, generation: int = 1) -> DataStore:
    spec = {"s3": {"bucket": "acme-ml"}, "credentials": {"secretRef": {"name": "keys"}}}
    meta = {"namespace": "ns", "name": "ml", "generation": generation}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": msgspec.to_builtins(status) if status else {}}, DataStore)


def test_a_probe_that_took_another_time_is_no_change() -> None:
    first = status_of(datastore(), Outcome(StoreReady.PROBED, "in 84 ms", CAN), "2026-11-24T12:00:00Z")
    assert first.conditions[0].status == "True"
    again = status_of(datastore(first), Outcome(StoreReady.PROBED, "in 85 ms", CAN), "2026-11-24T12:10:00Z")
    assert again == first
    changed = status_of(datastore(first, generation=2), Outcome(StoreReady.PROBED, "in 85 ms", CAN), "2026-11-24T12:10:00Z")
    assert (changed.observed_generation, changed.conditions[0].message) == (2, "in 85 ms")
    assert changed.conditions[0].last_transition_time == "2026-11-24T12:00:00Z"


def test_a_failure_keeps_what_was_found_and_its_new_words_are_a_change() -> None:
    first = status_of(datastore(), Outcome(StoreReady.PROBED, "ok", CAN), "2026-11-24T12:00:00Z")
    down = status_of(datastore(first), Outcome(StoreNotReady.ACCESS_DENIED, "no"), "2026-11-24T12:10:00Z")
    assert (down.conditions[0].status, down.conditions[0].reason, down.capabilities) == ("False", "AccessDenied", CAN)
    assert down.conditions[0].last_transition_time == "2026-11-24T12:10:00Z"
    assert status_of(datastore(down), Outcome(StoreNotReady.ACCESS_DENIED, "still no"), "2026-11-24T12:11:00Z") != down
    assert status_of(datastore(down), Outcome(StoreNotReady.ACCESS_DENIED, "no"), "2026-11-24T12:11:00Z") == down


@pytest.mark.parametrize(("status", "ended"), [(None, False), ("Unknown", False), ("True", True), ("False", True)])
def test_which_executions_have_ended(status: str | None, ended: bool) -> None:
    condition = {"type": "Succeeded", "status": status, "reason": "X", "lastTransitionTime": "2026-11-24T12:00:00Z"}
    assert settled({"status": {"conditions": [condition]}} if status else {}) is ended


def test_executions_are_counted_by_reason() -> None:
    ready = {"status": {"conditions": [{"type": "Succeeded", "reason": "Running"}]}}
    assert by_reason([ready, ready, {}], "Succeeded") == {"Running": 2.0, "New": 1.0}


def test_who_holds_the_lease() -> None:
    assert identity("p", "u") == "p_u"
    assert identity("p", "") != identity("p", "")


def test_the_command_tells_what_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "run the operator" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["operator", "--help"])
    assert end.value.code == 0
    assert "--lease-retry-seconds" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["nonsense"])
    assert end.value.code == 2


def test_a_wrong_setting_ends_the_operator_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operator", "--workers", "none"]) == 2
    assert "DATUMS_WORKERS is 'none': it must be a whole number" in capsys.readouterr().err
