"""The main job: what an execution saves becomes verified datums, and the next execution takes them as files."""

from __future__ import annotations

import json

from tests.e2e.kit import Project, eventually


def test_two_executions_chained_by_a_datum(project: Project) -> None:
    first = project.run("mkdir -p /valohai/outputs/data && printf 'a,b\\n1,2\\n' > /valohai/outputs/data/table.csv").succeeds()
    assert first.saved() == {"data/table.csv": b"a,b\n1,2\n"}

    second = project.run(
        "wc -l < /valohai/inputs/table/table.csv | tr -d ' ' > /valohai/outputs/lines.txt",
        inputs=[{"name": "table", "link": first.link("data/table.csv")}],
    ).succeeds()
    assert second.saved() == {"lines.txt": b"2\n"}
    (pinned,) = second.status["inputs"]["pinned"]
    assert pinned["pinned"] == first.link("data/table.csv")
    assert second.status["reproducible"]["value"] is True


def test_the_status_says_what_happened_and_kubectl_shows_it(project: Project) -> None:
    run = project.run("echo hello > /valohai/outputs/hello.txt", name="hello").succeeds()
    status = run.status
    assert status["exitCode"] == 0
    assert (status["outputs"]["files"], status["outputs"]["bytes"]) == (1, 6)
    assert status["observedGeneration"] == 1
    assert {"queued", "ran", "committed"} <= status["timings"].keys()
    head, line = project.kubectl("get", "executions", "hello").splitlines()
    assert head.split() == ["NAME", "SUCCEEDED", "REASON", "PROGRESS", "OUTPUTS", "DURATION", "AGE"]
    assert line.split()[:3] == ["hello", "True", "Committed"]
    assert {"Started", "Committed"} <= {event["reason"] for event in project.events(of="hello")}
    assert run.datum("hello.txt")["spec"]["source"]["execution"]["name"] == "hello"
    by_execution = project.kubectl("get", "datums", "--field-selector", "spec.source.execution.name=hello", "-o", "name")
    assert by_execution.split() == [f"datum.datums.dev/{run.datum('hello.txt')['metadata']['name']}"]


def test_parameters_reach_the_command_and_the_config(project: Project) -> None:
    run = project.run(
        "echo {parameters} > /valohai/outputs/line && echo {parameter-value:epochs} > /valohai/outputs/epochs && "
        "cp /valohai/config/parameters.json /valohai/outputs/",
        parameters=[
            {"name": "epochs", "value": 5},
            {"name": "title", "value": "it's a test"},
            {"name": "tags", "value": ["a", "b"], "style": "-t {value}"},
            {"name": "left-out"},
        ],
    ).succeeds()
    saved = run.saved()
    assert saved["epochs"] == b"5\n"
    assert saved["line"].startswith(b"--epochs=5 --title=it's a test")
    assert b"left-out" not in saved["line"]
    assert json.loads(saved["parameters.json"])["tags"] == ["a", "b"]


def test_a_glob_keeps_directories_as_asked(project: Project) -> None:
    for key in ("raw/img/a/1.png", "raw/img/b/2.png", "raw/img-hf/no.png"):
        project.bucket.put(key, key.encode())
    link = f"s3://{project.bucket_name}/raw/img/**"
    run = project.run(
        "cd /valohai/inputs && find . -type f | sort > /valohai/outputs/tree",
        inputs=[
            {"name": "none", "link": link},
            {"name": "suffix", "link": link, "keepDirectories": "Suffix"},
            {"name": "full", "link": link, "keepDirectories": "Full"},
            {"name": "empty", "link": "store://store/raw/nothing/*", "optional": True},
            {"name": "renamed", "link": f"s3://{project.bucket_name}/raw/img/a/1.png", "filename": "one.png"},
        ],
    ).succeeds()
    assert run.saved()["tree"].decode().split() == [
        "./full/raw/img/a/1.png",
        "./full/raw/img/b/2.png",
        "./none/1.png",
        "./none/2.png",
        "./renamed/one.png",
        "./suffix/a/1.png",
        "./suffix/b/2.png",
    ]
    assert run.status["inputs"]["files"] == 7


def test_files_are_uploaded_while_the_command_runs(project: Project) -> None:
    run = project.run(
        "cd /valohai/outputs && echo early > early.txt && echo mark-1 > mark && chmod a-w mark && "
        "while [ -e mark ]; do sleep 0.1; done; echo gone && echo mark-2 > mark && while [ ! -e go ]; do sleep 0.2; done; rm go"
    ).running()
    run.said("gone")
    prefix = f"{project.prefix}/projects/{project.namespace}/executions/"

    def uploaded() -> bool:
        keys = [item.key for item in project.bucket.list(prefix)]
        return any("early.txt" in k for k in keys) and any("mark" in k for k in keys)

    eventually("early.txt and mark are in the bucket while main runs", uploaded, 30)
    assert run.condition["reason"] == "Running"
    assert run.datums() == []
    run.exec("touch", "/valohai/outputs/go")
    run.succeeds()
    contents = sorted((d["spec"]["path"], project.bucket.get(d["spec"]["location"]["key"])) for d in run.datums())
    assert contents == [("early.txt", b"early\n"), ("mark", b"mark-1\n"), ("mark", b"mark-2\n")]


ODD_FILES = r"""
import os, socket
os.chdir(os.environ["VH_OUTPUTS_DIR"])
open("empty.bin", "w").close()
open("with space.txt", "w").write("s")
open("ünïcode-日本.txt", "w").write("u")
deep = "/".join(["d" * 200] * 5); os.makedirs(os.path.dirname(deep)); open(deep, "w").write("deep")
open("secret.txt", "w").write("0600"); os.chmod("secret.txt", 0o600)
os.makedirs("kept/empty")
os.symlink("secret.txt", "inside-link")
os.symlink("/etc/hostname", "outside-link")
os.symlink("nowhere", "broken-link")
os.mkfifo("a-fifo")
s = socket.socket(socket.AF_UNIX); s.bind("a-socket")
"""


def test_odd_files_are_saved_or_refused_by_name(project: Project) -> None:
    run = project.run(["cat > /tmp/odd.py <<'END'\n" + ODD_FILES + "\nEND", "python3 /tmp/odd.py"])
    run.fails("OutputsPartial", "4 outputs could not be saved")
    assert run.status["exitCode"] == 0
    saved = run.saved()
    assert saved["empty.bin"] == b""
    assert saved["with space.txt"] == b"s"
    assert saved["ünïcode-日本.txt"] == b"u"
    assert saved["/".join(["d" * 200] * 5)] == b"deep"
    assert saved["secret.txt"] == b"0600"
    assert saved["inside-link"] == b"0600"
    assert saved.keys().isdisjoint({"outside-link", "broken-link", "a-fifo", "a-socket"})
    problems = run.status["outputs"]["problems"]
    assert run.status["outputs"]["problemCount"] == 4
    assert all(any(name in problem for problem in problems) for name in ("outside-link", "broken-link", "a-fifo", "a-socket"))
    assert "kept/empty/" in [e.path for e in run.manifest()]


def test_many_files_are_one_bundle_and_each_has_a_link(project: Project) -> None:
    run = project.run(
        "mkdir /valohai/outputs/many && cd /valohai/outputs/many && for i in $(seq 300); do echo $i > $i.txt; done"
    ).succeeds()
    (bundle,) = run.datums()
    assert bundle["spec"]["files"] == 300
    entry = next(e for e in run.manifest() if e.path == "many/42.txt")
    assert len(json.dumps(run.object)) < 6144
    reader = project.run(
        "cd /valohai/inputs && cat one/42.txt path/7.txt > /valohai/outputs/two && ls all | wc -l > /valohai/outputs/n",
        inputs=[
            {"name": "one", "link": f"datum://{entry.datum}"},
            {"name": "path", "link": f"datum://{bundle['metadata']['name']}/many/7.txt"},
            {"name": "all", "link": f"datum://{bundle['metadata']['name']}"},
        ],
    ).succeeds()
    assert reader.saved()["two"] == b"42\n7\n"
    assert reader.saved()["n"].strip() == b"300"


def test_a_rerun_of_a_pinned_link_gets_the_same_bytes_or_fails(project: Project) -> None:
    project.bucket.put("raw/moving.txt", b"one")
    link = f"s3://{project.bucket_name}/raw/moving.txt"
    first = project.run("true", inputs=[{"name": "x", "link": link}]).succeeds()
    pinned = first.status["inputs"]["pinned"][0]["pinned"]
    project.run("grep -q one /valohai/inputs/x/moving.txt", inputs=[{"name": "x", "link": pinned}]).succeeds()
    project.bucket.put("raw/moving.txt", b"two")
    project.run("true", inputs=[{"name": "x", "link": pinned}]).fails("InputChanged", "raw/moving.txt")


def test_a_public_file(project: Project, web_url: str) -> None:
    run = project.run("cp /valohai/inputs/page/* /valohai/outputs/", inputs=[{"name": "page", "link": web_url}]).succeeds()
    assert list(run.saved().values()) == [b"public\n"]
    assert run.status["reproducible"]["value"] is False
