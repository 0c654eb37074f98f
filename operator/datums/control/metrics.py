"""The operator's metrics, one table (`Metrics.TABLE`), besides those of the process that prometheus-client gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters and gauges of one operator, in a registry of their own."""

    TABLE: ClassVar[Mapping[str, str]] = {
        "datums_reconcile_total": "Reconciliations, by kind and result (ok, conflict, error).",
        "datums_reconcile_seconds": "Duration of reconciliations, by kind.",
        "datums_queue_depth": "Keys that wait for a worker.",
        "datums_executions": "Executions, by the reason of their condition.",
        "datums_datastores": "DataStores, by the reason of their condition.",
        "datums_pods": "Pods of executions.",
        "datums_api_requests_total": "Requests to the API server, by verb, resource and HTTP status (0: no answer).",
        "datums_api_request_seconds": "Duration of requests to the API server, by verb.",
        "datums_store_probe_seconds": "Duration of probes of DataStores, by result (ok, or the reason why not).",
        "datums_sweeps_total": "Full lists that looked for what the watches missed.",
        "datums_ghosts_total": "Objects that a sweep found to be gone without an event, by kind.",
        "datums_abandoned_uploads_total": "Unfinished uploads of attempts that are over, by result (removed, failed).",
        "datums_agent_reports_total": "Progress reports of pods, by result (accepted, or the HTTP status).",
        "datums_events_dropped_total": "Kubernetes Events that were not written.",
        "datums_leader": "1 where this process is the leader.",
    }

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        t = self.TABLE
        self._reconciles = Counter("datums_reconcile_total", t["datums_reconcile_total"], ["kind", "result"], registry=registry)
        self._reconcile_seconds = Histogram(
            "datums_reconcile_seconds", t["datums_reconcile_seconds"], ["kind"], buckets=_SECONDS, registry=registry
        )
        self._requests = Counter(
            "datums_api_requests_total", t["datums_api_requests_total"], ["verb", "resource", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "datums_api_request_seconds", t["datums_api_request_seconds"], ["verb"], buckets=_SECONDS, registry=registry
        )
        self._probe_seconds = Histogram(
            "datums_store_probe_seconds", t["datums_store_probe_seconds"], ["result"], buckets=_SECONDS, registry=registry
        )
        self.sweeps = Counter("datums_sweeps_total", t["datums_sweeps_total"], registry=registry)
        self._ghosts = Counter("datums_ghosts_total", t["datums_ghosts_total"], ["kind"], registry=registry)
        self._uploads = Counter(
            "datums_abandoned_uploads_total", t["datums_abandoned_uploads_total"], ["result"], registry=registry
        )
        self._reports = Counter("datums_agent_reports_total", t["datums_agent_reports_total"], ["result"], registry=registry)
        self.events_dropped = Counter("datums_events_dropped_total", t["datums_events_dropped_total"], registry=registry)
        self.leader = Gauge("datums_leader", t["datums_leader"], registry=registry)

    def count_reconcile(self, kind: str, result: str, seconds: float) -> None:
        """Counts one reconciliation."""
        self._reconciles.labels(kind, result).inc()
        self._reconcile_seconds.labels(kind).observe(seconds)

    def count_request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Counts one request to the API server."""
        self._requests.labels(verb, resource, str(status)).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def count_probe(self, result: str, seconds: float) -> None:
        """Counts one probe of a store."""
        self._probe_seconds.labels(result).observe(seconds)

    def count_report(self, result: str) -> None:
        """Counts one progress report."""
        self._reports.labels(result).inc()

    def count_uploads(self, removed: int, failed: int) -> None:
        """Counts uploads of a store that nobody would have finished."""
        self._uploads.labels("removed").inc(removed)
        self._uploads.labels("failed").inc(failed)

    def count_ghost(self, kind: str) -> None:
        """Counts one object that went without an event."""
        self._ghosts.labels(kind).inc()

    def gauge(self, name: str, label: str | None, values: Callable[[], Mapping[str, float]]) -> None:
        """Shows what is true at the moment of a scrape.

        Args:
            name: one of `TABLE`.
            label: name of the label whose values are the keys of `values`; None for a gauge with one value, under the key "".
        """
        self.registry.register(_Live(name, self.TABLE[name], label, values))

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Live(Collector):
    def __init__(self, name: str, doc: str, label: str | None, values: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._doc, self._label, self._values = name, doc, label, values

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._doc, labels=[self._label] if self._label else [])
        for key, value in self._values().items():
            family.add_metric([key] if self._label else [], value)
        return [family]

    def describe(self) -> list[GaugeMetricFamily]:
        return []
