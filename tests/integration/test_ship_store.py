"""`ship` and a store that fails."""

from __future__ import annotations

import socket

from datums.model import podpaths
from tests.integration.ship_kit import Pods, wait_for, write
from tests.integration.ship_lines import Agent, Forwarder


def test_a_store_that_is_down_is_waited_for(pods: Pods) -> None:
    """The port answers nothing, then the real server stands behind it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    pod = pods(endpoint=f"http://127.0.0.1:{port}")
    write(pod, "f", b"1")
    with Agent() as agent:
        pod.agent_url = agent.url
        pod.write_secret(pod.server.keys["admin"])
        pod.start()
        pod.main_starts()
        pod.main_was_seen()
        pod.main_ends()
        wait_for(lambda: any("still trying" in report.trouble for report in agent.reports), what="the trouble to be told")
        assert not pod.at(podpaths.VERDICT).exists() and "still trying" in pod.log()
        with Forwarder(port, pod.server.port):
            assert pod.committed(30).outputs.files == 1
            wait_for(lambda: agent.reports[-1].phase == "Committed")
        assert agent.reports[-1].trouble == ""
    assert pod.contents() == {("f", 0): b"1"}


def test_credentials_that_are_refused_are_read_anew(pods: Pods) -> None:
    pod = pods()
    pod.write_secret(pod.server.keys["reader"])
    write(pod, "f", b"1")
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.main_ends()
    wait_for(lambda: "still trying" in pod.log())
    pod.write_secret(pod.server.keys["admin"])
    assert pod.committed().outputs.files == 1
    assert not any(secret in pod.log() for keys in pod.server.keys.values() for secret in keys.values())
