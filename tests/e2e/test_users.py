"""Any user, any image, the restricted Pod Security Standard; and what user code can not see."""

from __future__ import annotations

import pytest

from tests.e2e.kit import NO_SHELL_IMAGE, Project

PRIVATE = "umask 077; id -u > /valohai/outputs/uid; mkdir /valohai/outputs/d; echo p > /valohai/outputs/d/private"


@pytest.mark.parametrize("user", [0, 1000, 65534])
def test_files_that_only_their_owner_reads_are_saved(project: Project, user: int) -> None:
    run = project.run(PRIVATE, template={"spec": {"securityContext": {"runAsUser": user}}}).succeeds()
    assert run.saved() == {"uid": f"{user}\n".encode(), "d/private": b"p\n"}


def test_a_namespace_that_enforces_restricted(restricted_project: Project) -> None:
    run = restricted_project.run(PRIVATE).succeeds()
    assert run.saved()["uid"] != b"0\n"
    assert run.saved()["d/private"] == b"p\n"


def test_a_read_only_root_filesystem(restricted_project: Project) -> None:
    container = {"name": "main", "securityContext": {"readOnlyRootFilesystem": True}}
    run = restricted_project.run(
        "touch /x 2>/dev/null && exit 9; echo ok > /valohai/outputs/ok", template={"spec": {"containers": [container]}}
    ).succeeds()
    assert run.saved() == {"ok": b"ok\n"}


def test_an_image_without_a_shell(project: Project) -> None:
    run = project.run("/noshell hello.txt", image=NO_SHELL_IMAGE).succeeds()
    assert "hello.txt" in run.saved()


LOOK_AROUND = r"""
import os, pathlib, json
found = []
for root in ("/datums", "/valohai", "/var/run", "/run", "/etc", "/tmp", "/home", "/root"):
    for path in pathlib.Path(root).rglob("*"):
        try:
            if path.is_file() and path.stat().st_size < 1 << 20:
                found.append((str(path), path.read_text("utf-8", "replace")))
        except OSError:
            pass
commands = [p.read_bytes().decode() for p in pathlib.Path("/proc").glob("[0-9]*/cmdline")]
print(json.dumps({"env": dict(os.environ), "files": found, "commands": commands}))
"""


def test_user_code_sees_no_credential_and_no_token(project: Project, secrets: list[str]) -> None:
    project.bucket.put("raw/in.txt", b"in")
    run = project.run(
        ["cat > /tmp/look.py <<'END'\n" + LOOK_AROUND + "\nEND", "python3 /tmp/look.py"],
        inputs=[{"name": "x", "link": f"s3://{project.bucket_name}/raw/in.txt"}],
    ).succeeds()
    seen = run.log()
    assert "/valohai/config/inputs.json" in seen
    for secret in secrets:
        assert secret not in seen
    assert "serviceaccount" not in seen
    assert "/datums/secret" not in seen
    assert "/datums/state" not in seen
    assert "/datums/token" not in seen


def test_user_code_cannot_write_where_it_must_not(project: Project) -> None:
    run = project.run(
        "for d in /datums/run /valohai/inputs /valohai/config; do touch $d/x 2>/dev/null && echo wrote $d; done; "
        "touch /valohai/repository/x && echo ok > /valohai/outputs/ok"
    ).succeeds()
    assert "wrote" not in run.log()
