"""Alerts and dashboard speak of metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import yaml

from datums.control.metrics import Metrics
from tests.unit.chart.conftest import CHART, Rendered

NAME = re.compile(r"\bdatums_[a-z_]+")


def test_dashboard_and_alerts_name_real_metrics() -> None:
    text = (CHART / "files/dashboard.json").read_text() + (CHART / "files/alerts.yaml").read_text()
    named = {name.removesuffix("_bucket") for name in NAME.findall(text)}
    assert named
    assert named <= Metrics.TABLE.keys()


def test_the_dashboard_arrives_whole(render: Callable[..., Rendered]) -> None:
    config = render("metrics.dashboard.enabled=true").one("ConfigMap", "datums-dashboard")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["datums.json"]) == json.loads((CHART / "files/dashboard.json").read_text())


def test_the_alerts_arrive_whole(render: Callable[..., Rendered]) -> None:
    rule = render("metrics.prometheusRule.enabled=true", "metrics.prometheusRule.labels.release=mon").one("PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "mon"
    assert rule["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text())
