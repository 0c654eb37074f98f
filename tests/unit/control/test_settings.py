"""Settings, from the environment and from flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from datums.control.settings import Settings, SettingsError, documented, flag, load, reference, unknown, variable

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "settings.md"


def test_the_environment_is_read_and_flags_win() -> None:
    environ = {
        "DATUMS_NAMESPACES": "a, b,",
        "DATUMS_WORKERS": "3",
        "DATUMS_SWEEP_SECONDS": "1.5",
        "DATUMS_LOG_LEVEL": "DEBUG",
        "HOME": "/",
    }
    settings = load(environ, {"workers": "4", "image": None})
    assert settings.namespaces == ("a", "b")
    assert (settings.workers, settings.sweep_seconds, settings.log_level) == (4, 1.5, "DEBUG")
    assert settings.image == Settings().image


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"DATUMS_WORKERS": "many"}, "DATUMS_WORKERS is 'many': it must be a whole number"),
        ({"DATUMS_WORKERS": "0"}, "DATUMS_WORKERS is 0: it must be at least 1"),
        ({"DATUMS_UPLOAD_SWEEP_SECONDS": "0"}, "DATUMS_UPLOAD_SWEEP_SECONDS is 0: it must be at least 1"),
        ({"DATUMS_SWEEP_SECONDS": "soon"}, "DATUMS_SWEEP_SECONDS is 'soon': it must be a number"),
        ({"DATUMS_LOG_LEVEL": "loud"}, "DATUMS_LOG_LEVEL is 'loud': it must be one of DEBUG, INFO, WARNING, ERROR"),
        ({"DATUMS_LEASE_RENEW_SECONDS": "20"}, "DATUMS_LEASE_RENEW_SECONDS=20, DATUMS_LEASE_SECONDS=15"),
        ({"DATUMS_AGENT_PORT": "tcp://10.96.0.7:8081"}, "DATUMS_AGENT_PORT is 'tcp://10.96.0.7:8081': it must be a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_right(environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        load(environ)
    assert told in str(error.value)


def test_misspelt_variables_are_told() -> None:
    assert unknown({"DATUMS_WORKER": "3", "DATUMS_WORKERS": "3", "PATH": ""}) == ["DATUMS_WORKER"]


def test_every_setting_is_documented_in_the_reference() -> None:
    page = PAGE.read_text()
    for name, _, doc in documented():
        assert doc.endswith(".")
        for part in (f"`{variable(name)}`", f"`{flag(name)}`", doc):
            assert part in page
    assert page == reference(), "stale: run python -m datums.control.settings"
