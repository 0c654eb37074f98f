"""After all the stories: no secret value is anywhere but in Secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import zstandard
from kubernetes import client

from demo.operator import SYSTEM
from tests.e2e.conftest import BUCKET, NAMESPACES, S3


def _written(namespaces: list[str]) -> Iterator[tuple[str, str]]:
    """(where, text) of every log, event, pod, status and other object of these namespaces."""
    core, custom = client.CoreV1Api(), client.CustomObjectsApi()
    text = core.api_client.sanitize_for_serialization
    for namespace in namespaces:
        for pod in core.list_namespaced_pod(namespace).items:
            yield f"pod {namespace}/{pod.metadata.name}", json.dumps(text(pod))
            for container in [*(pod.spec.init_containers or []), *pod.spec.containers]:
                for previous in (False, True):
                    try:
                        log = core.read_namespaced_pod_log(
                            pod.metadata.name, namespace, container=container.name, previous=previous
                        )
                    except client.ApiException:
                        continue
                    yield f"log {namespace}/{pod.metadata.name}/{container.name}", log
        yield f"events of {namespace}", json.dumps(text(core.list_namespaced_event(namespace)))
        yield f"config maps of {namespace}", json.dumps(text(core.list_namespaced_config_map(namespace)))
        for plural in ("executions", "datums", "datastores"):
            yield (
                f"{plural} of {namespace}",
                json.dumps(custom.list_namespaced_custom_object("datums.dev", "v1alpha1", namespace, plural)),
            )


def test_no_secret_in_any_log_event_status_pod_or_manifest(operator: str, s3: S3, secrets: list[str]) -> None:
    searched: dict[str, int] = {}
    for where, text in _written([*NAMESPACES, SYSTEM]):
        searched[where.split()[0]] = searched.get(where.split()[0], 0) + 1
        for secret in secrets:
            assert secret not in text, f"a secret value is in {where}"
    bucket = s3.open(BUCKET)
    for item in bucket.list("datums/"):
        data = bucket.get(item.key) if item.size < 1 << 20 else b""
        if item.key.endswith(".zst"):
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
        searched["objects"] = searched.get("objects", 0) + 1
        for secret in secrets:
            assert secret.encode() not in data, f"a secret value is in s3://{BUCKET}/{item.key}"
    # The search itself must have had something to search in.
    assert min(searched.get(kind, 0) for kind in ("pod", "log", "events", "executions", "objects")) > 0, searched
