"""The bridge, the two iptables rules of its own and the kernel settings; and taking it all away."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed.components import BRIDGE, NODE_ADDRESS, POD_CIDR
from testbed.errors import SetupError

SETTINGS = {
    "net.ipv4.ip_forward": "1",
    "net.bridge.bridge-nf-call-iptables": "1",  # only where the kernel has it
}
KUBELET_CHANGES = ("vm.overcommit_memory", "vm.panic_on_oom", "kernel.panic", "kernel.panic_on_oops",
                   "kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes")  # fmt: skip
"""What the kubelet sets at its start, and the testbed puts back."""

COMMENT = "datums-testbed"
RULES = (
    ("nat", "POSTROUTING", ("-s", POD_CIDR, "!", "-d", POD_CIDR, "-j", "MASQUERADE")),
    ("filter", "FORWARD", ("-i", BRIDGE, "-j", "ACCEPT")),  # Docker, where there is one, drops by default
    ("filter", "FORWARD", ("-o", BRIDGE, "-j", "ACCEPT")),
)
OWN_CHAIN = re.compile(r"(KUBE|CNI)-")
FAMILIES = ("iptables", "ip6tables")


def up(remembered: Path) -> None:
    """Makes what is missing. The settings as they were are written to `remembered`, once."""
    if not remembered.exists():
        remembered.write_text(json.dumps({name: value for name in (*SETTINGS, *KUBELET_CHANGES)
                                          if (value := _read_setting(name)) is not None}))  # fmt: skip
    for name, value in SETTINGS.items():
        if _read_setting(name) not in (None, value):
            _setting(name).write_text(value)
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        _call("ip", "link", "add", BRIDGE, "type", "bridge")
    prefix = POD_CIDR.partition("/")[2]
    _call("ip", "address", "replace", f"{NODE_ADDRESS}/{prefix}", "dev", BRIDGE)
    _call("ip", "link", "set", BRIDGE, "up")
    for veth in _detached():
        _call("ip", "link", "set", veth, "master", BRIDGE)
        _call("bridge", "link", "set", "dev", veth, "hairpin", "on")
    for table, chain, rule in RULES:
        marked = [chain, *rule, "-m", "comment", "--comment", COMMENT]
        known = subprocess.run(["iptables", "-w", "-t", table, "-C", *marked], capture_output=True, check=False)
        if known.returncode:
            _call("iptables", "-w", "-t", table, "-I", *marked)


def down(remembered: Path) -> None:
    """Takes away bridge, interfaces, rules and chains, and puts the kernel's settings back."""
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        for port in ports():
            subprocess.run(["ip", "link", "delete", port], capture_output=True, check=False)  # gone with its peer
        _call("ip", "link", "delete", BRIDGE)
    for family in FAMILIES:
        if shutil.which(family) and (script := removal_script(saved_rules(family))):
            _call(f"{family}-restore", "--noflush", "-w", input_text=script)
    if remembered.exists():
        for name, value in json.loads(remembered.read_text()).items():
            if _read_setting(name) not in (None, value):
                _setting(name).write_text(value)
        remembered.unlink()


def ports() -> list[str]:
    """Interfaces of the bridge: the host's ends of the pods' veth pairs."""
    return sorted(port.name for port in Path(f"/sys/class/net/{BRIDGE}/brif").glob("*"))


def _detached() -> list[str]:
    """Interfaces of pods that have outlived the bridge (CNI's names): somebody removed it."""
    return [link.name for link in Path("/sys/class/net").glob("veth????????") if not (link / "master").exists()]


def saved_rules(family: str) -> str:
    """What `iptables-save` prints; "" where the family is not there."""
    if not shutil.which(f"{family}-save"):
        return ""
    return subprocess.run([f"{family}-save"], capture_output=True, text=True, check=False).stdout


def rules(saved: str) -> list[tuple[str, str]]:
    """(table, line) of every rule and of every chain that is not built in, in an `iptables-save`; without counters."""
    found = []
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A") or (line.startswith(":") and line.split()[1] == "-"):
            found.append((table, line.partition(" [")[0] if line.startswith(":") else line))
    return found


def own_rules(saved: str) -> list[tuple[str, str]]:
    """Those of `rules` that Kubernetes, CNI or the testbed made."""
    return [(table, line) for table, line in rules(saved) if OWN_CHAIN.search(line) or f"--comment {COMMENT}" in line]


def removal_script(saved: str) -> str:
    """Input for `iptables-restore --noflush` that removes what `own_rules` finds; "" when there is nothing."""
    tables: dict[str, tuple[list[str], list[str]]] = {}
    for table, line in own_rules(saved):
        deletions, chains = tables.setdefault(table, ([], []))
        chain = line.split()[0][1:] if line.startswith(":") else line.split()[1]
        if line.startswith(":"):
            chains.append(chain)
        elif not OWN_CHAIN.match(chain):
            deletions.append(f"-D{line.removeprefix('-A')}")
    script = []
    for table, (deletions, chains) in tables.items():
        flushed = [f"-F {chain}" for chain in chains]  # all of them first: they jump to each other
        script += [f"*{table}", *deletions, *flushed, *(f"-X {chain}" for chain in chains), "COMMIT", ""]
    return "\n".join(script)


def _setting(name: str) -> Path:
    return Path("/proc/sys") / name.replace(".", "/")


def _read_setting(name: str) -> str | None:
    try:
        return _setting(name).read_text().strip()
    except OSError:
        return None


def _call(*command: str, input_text: str | None = None) -> None:
    done = subprocess.run(command, input=input_text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"`{_short(command)}` failed: {done.stderr.strip()[-400:]}")


def _short(command: Sequence[str]) -> str:
    return " ".join(command)[:120]
