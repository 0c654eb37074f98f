"""Fixtures of the integration tests: real servers on loopback."""

from tests.integration.azure_fixture import azure, azure_server
from tests.integration.executions_kit import bare, project
from tests.integration.fetch_kit import fetch_pod
from tests.integration.gcs_fixture import gcs, gcs_server
from tests.integration.kube_fixture import control_plane, kube, kube_api, namespace, operator, secret
from tests.integration.machinery_kit import account, watched
from tests.integration.s3_fixture import bucket, s3_server
from tests.integration.ship_kit import pod, pods

__all__ = [
    "account",
    "azure",
    "azure_server",
    "bare",
    "bucket",
    "control_plane",
    "fetch_pod",
    "gcs",
    "gcs_server",
    "kube",
    "kube_api",
    "namespace",
    "operator",
    "pod",
    "pods",
    "project",
    "s3_server",
    "secret",
    "watched",
]
