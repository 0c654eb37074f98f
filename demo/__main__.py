"""`python -m demo` runs the demo; `python -m demo cat <datum id>` prints a datum's bytes from the bucket."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from demo import tools
from demo.bucket import BUCKET, REGION, Server
from demo.operator import DEFAULT_IMAGE, SYSTEM, install
from demo.table import Table, condition
from demo.tools import ROOT, DemoError, kubectl, objects, say, step

NAMESPACE = "datums-demo"
EXAMPLES = Path("examples/quickstart")
TESTBED_PYTHON = "datums-testbed/python:3"
SECONDS = 300

OWN_CLUSTER = """\
This demo starts a real Kubernetes on this machine and runs Datums on it. It asks nothing. What it changes:
  packages   installs what is missing: containerd, runc, CNI plugins, buildah, debootstrap, iptables …
  network    a bridge, iptables rules (KUBE-*, CNI-*), IP forwarding; all addresses are private to this machine
  files      .venv and .testbed in this directory (2 to 3 GB); the first run builds Kubernetes, some 5 minutes on 2 cores
`make cluster-down` ends the cluster and takes all of it back but packages and files; `make cluster-purge` removes .testbed too.
"""
CURRENT_CLUSTER = """\
This demo uses the cluster that your KUBECONFIG names (context {context}). It asks nothing. What it changes there:
  namespaces datums-system (the operator), datums-demo (what is run), and unless DEMO_S3_ENDPOINT names an S3 server of
             yours datums-s3 (one without a disk)
  cluster    the kinds DataStore, Execution and Datum, and the operator's roles
To take it back: the commands at the end of this demo.
"""


def main(arguments: list[str]) -> int:
    try:
        match arguments:
            case []:
                demo()
            case ["cat", datum]:
                cat(datum)
            case _:
                raise DemoError("usage: python -m demo, or python -m demo cat <datum id>")
    except DemoError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; `make demo` goes on from here\n")
        return 130
    return 0


def demo() -> None:
    """The whole of it."""
    if tools.is_current_cluster():
        say(CURRENT_CLUSTER.format(context=tools.output("kubectl", "config", "current-context").strip()))
    else:
        say(OWN_CLUSTER)
    heading("1  A cluster, the images")
    step("make", "--no-print-directory", "cluster", "images")
    heading("2  The operator, by its chart")
    install()
    heading("3  A bucket, connected")
    server = connect()
    heading("4  Two executions: the second takes a file of the first")
    prepare, train = run()
    heading("5  What came of it")
    report(server, prepare, train)


def heading(text: str) -> None:
    say(f"\n── {text} " + "─" * max(0, 78 - len(text)))


def connect() -> Server:
    """The S3 server, the bucket, the demo's namespace with the Secret and the DataStore."""
    server = Server.deployed()
    server.make_bucket()
    store = example("store.yaml")
    store["spec"]["s3"] |= {"bucket": BUCKET, "region": REGION, "endpoint": server.endpoint, "forcePathStyle": True}
    name = store["spec"]["credentials"]["secretRef"]["name"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": server.keys}
    for each in (namespace, secret, store):
        # Server-side: client-side apply would write the Secret's values into an annotation once more.
        kubectl(NAMESPACE, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(each))
    kubectl(NAMESPACE, "wait", "--for=condition=Ready", "--timeout=60s", f"datastore/{store['metadata']['name']}")
    say(kubectl(NAMESPACE, "get", "datastores").rstrip())
    return server


def example(name: str) -> dict[str, Any]:
    """An example, with an image that this cluster has: nothing was loaded into one that pulls from a registry ($IMAGE)."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / EXAMPLES / name).read_text())
    if loaded["kind"] == "Execution":
        pulls = tools.is_current_cluster() and os.environ.get("IMAGE", DEFAULT_IMAGE) != DEFAULT_IMAGE
        loaded["spec"]["image"] = os.environ.get("DEMO_IMAGE") or (loaded["spec"]["image"] if pulls else TESTBED_PYTHON)
    return loaded


def run() -> tuple[str, str]:
    """Runs both executions one after the other, shown while they run; their names."""
    say(f"kubectl create -f {EXAMPLES}/prepare.yaml, and when it has ended {EXAMPLES}/train.yaml with its datum as input\n")
    table = Table()
    names = [create(example("prepare.yaml"))]
    wait(table, names)
    train = example("train.yaml")
    train["spec"]["inputs"][0]["link"] = f"datum://{datum_of(names[0], 'points.csv')}"
    names.append(create(train))
    wait(table, names)
    return names[0], names[1]


def create(execution: dict[str, Any]) -> str:
    return kubectl(NAMESPACE, "create", "-f", "-", "-o", "jsonpath={.metadata.name}", stdin=json.dumps(execution)).strip()


def wait(table: Table, names: list[str]) -> None:
    """Shows the executions until the last one has ended."""
    deadline = time.monotonic() + SECONDS
    while True:
        found = {e["metadata"]["name"]: e for e in objects(NAMESPACE, "executions")}
        table.show([found[name] for name in names])
        ended = condition(found[names[-1]])
        if ended["status"] == "True":
            return
        if ended["status"] == "False":
            raise DemoError(f"{names[-1]} failed: {ended['reason']}: {ended['message']}")
        if time.monotonic() > deadline:
            raise DemoError(
                f"{names[-1]} has not ended within {SECONDS} s ({ended['reason']}: {ended['message']}); "
                f"see: kubectl -n {NAMESPACE} describe execution {names[-1]}"
            )
        time.sleep(0.5)


def datums_of(execution: str) -> list[dict[str, Any]]:
    """Its datums, by path."""
    found = objects(NAMESPACE, "datums", "--field-selector", f"spec.source.execution.name={execution}")
    return sorted(found, key=lambda datum: str(datum["spec"]["path"]))


def datum_of(execution: str, path: str) -> str:
    for datum in datums_of(execution):
        if datum["spec"]["path"] == path:
            return str(datum["metadata"]["name"])
    raise DemoError(f"{execution} has no datum {path}; see: kubectl -n {NAMESPACE} get datums")


def report(server: Server, *executions: str) -> None:
    """Shows the datums, and how to look further."""
    for execution in executions:
        say(f"{execution} saved:")
        for datum in datums_of(execution):
            spec = datum["spec"]
            say(f"  {spec['path']}, {spec['size']:,} bytes")
            say(f"    datum://{datum['metadata']['name']}")
            say(f"    s3://{BUCKET}/{spec['location']['key']}")
    model = datum_of(executions[-1], "model.json")
    location = next(d for d in datums_of(executions[-1]) if d["metadata"]["name"] == model)["spec"]["location"]
    say(f"\nmodel.json, as the bucket has it:\n  {server.read(location['key']).decode()}")
    kubeconfig = "" if tools.is_current_cluster() else f"  export KUBECONFIG={tools.KUBECONFIG} PATH={tools.TOOLS}:$PATH\n"
    remove = "" if tools.is_current_cluster() else "  make cluster-down                       # or the whole cluster at once\n"
    say(f"""
Look further:
{kubeconfig}  kubectl -n {NAMESPACE} get executions,datums,datastores
  kubectl -n {NAMESPACE} describe execution {executions[-1]}
  kubectl -n {NAMESPACE} logs --tail=3 -l datums.dev/execution={executions[-1]} -c main
  kubectl explain execution.spec.inputs
  .venv/bin/python -m demo cat {model}

Remove it all:
  kubectl delete namespace {NAMESPACE} datums-s3
  helm uninstall datums -n {SYSTEM}
  kubectl delete crd executions.datums.dev datums.datums.dev datastores.datums.dev
  kubectl delete namespace {SYSTEM}
{remove}""")


def cat(datum: str) -> None:
    """Prints a datum's bytes."""
    spec = json.loads(kubectl(NAMESPACE, "get", "datum", datum, "-o", "json"))["spec"]
    if "location" not in spec:
        raise DemoError(f"{datum} is a bundle of {spec['files']} files, not a file")
    sys.stdout.buffer.write(Server.deployed().read(spec["location"]["key"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
