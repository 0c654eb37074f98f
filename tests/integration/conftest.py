"""Fixtures of the integration tests: real servers on loopback."""

from tests.integration.kube_fixture import control_plane, kube, kube_api, namespace, operator, secret
from tests.integration.s3_fixture import bucket, s3_server

__all__ = ["bucket", "control_plane", "kube", "kube_api", "namespace", "operator", "s3_server", "secret"]
