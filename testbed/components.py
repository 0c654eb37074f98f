"""The command line and configuration of every component: pure functions of where things are."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.layout import RUN, Place
from testbed.processes import Command

NODE = "testbed"
BRIDGE = "datums0"
NETWORK = "datums-testbed"
NODE_ADDRESS = "10.244.0.1"
"""The bridge's address: API server and kubelet bind to it, so that pods reach them."""
POD_CIDR = "10.244.0.0/22"
SERVICE_CIDR = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
CONTAINERD_SOCKET = RUN / "containerd.sock"
PAUSE_IMAGE = "datums-testbed/pause:1"
MAX_PODS = 250

# A real cluster may set these too: what waits for the API server's leave adds seconds when 50 pods come at once.
CLIENT_QPS = ("--kube-api-qps=500", "--kube-api-burst=1000")


@dataclass(frozen=True)
class Endpoints:
    """Addresses of one control plane."""

    address: str
    port: int
    etcd_port: int
    etcd_peer_port: int
    controller_manager_port: int

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port}"


CLUSTER_ENDPOINTS = Endpoints(NODE_ADDRESS, 6443, 12379, 12380, 10257)


@dataclass(frozen=True)
class ControlPlaneCommands:
    """Commands of etcd, API server and controller-manager; the same for the cluster and for tests."""

    hyperkube: Path
    place: Place
    endpoints: Endpoints

    def etcd(self) -> Command:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.endpoints.etcd_port, self.endpoints.etcd_peer_port))
        return Command("etcd", [
            str(self.hyperkube), "etcd", f"--data-dir={self.place.data / 'etcd'}",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # what a crash of the machine would lose is a testbed
            "--log-level=warn",
        ])  # fmt: skip

    def apiserver(self, *extra: str) -> Command:
        pki = self.place.pki
        return Command("kube-apiserver", [
            str(self.hyperkube), "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.endpoints.etcd_port}",
            f"--bind-address={self.endpoints.address}", f"--secure-port={self.endpoints.port}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt", f"--cert-dir={pki}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
            *extra,
        ])  # fmt: skip

    def controller_manager(self) -> Command:
        pki, kubeconfig = self.place.pki, self.place.config / "controller-manager.kubeconfig"
        return Command("kube-controller-manager", [
            str(self.hyperkube), "kube-controller-manager", *_kubeconfigs(kubeconfig), *CLIENT_QPS,
            "--leader-elect=false", "--bind-address=127.0.0.1",
            f"--secure-port={self.endpoints.controller_manager_port}", f"--cert-dir={pki}",
            "--use-service-account-credentials=true", f"--root-ca-file={pki}/ca.crt",
            f"--service-account-private-key-file={pki}/sa.key",
            f"--cluster-signing-cert-file={pki}/ca.crt", f"--cluster-signing-key-file={pki}/ca.key",
        ], [kubeconfig])  # fmt: skip


@dataclass(frozen=True)
class NodeCommands:
    """Commands of what makes this machine a node, and of the scheduler."""

    hyperkube: Path
    place: Place

    def apiserver_flags(self) -> Sequence[str]:
        """What an API server with a node needs besides."""
        return [
            f"--advertise-address={NODE_ADDRESS}",  # the endpoint of the Service `kubernetes`
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            f"--kubelet-client-certificate={self.place.pki}/kubelet-client.crt",
            f"--kubelet-client-key={self.place.pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
        ]  # fmt: skip

    def scheduler(self) -> Command:
        kubeconfig = self.place.config / "scheduler.kubeconfig"
        return Command("kube-scheduler", [
            str(self.hyperkube), "kube-scheduler", *_kubeconfigs(kubeconfig), *CLIENT_QPS,
            "--leader-elect=false", "--bind-address=127.0.0.1", f"--cert-dir={self.place.pki}",
        ], [kubeconfig])  # fmt: skip

    def containerd(self) -> Command:
        config = self.place.config / "containerd.toml"
        return Command("containerd", [shutil.which("containerd") or "containerd", "--config", str(config)], [config])

    def kubelet(self) -> Command:
        config, kubeconfig = self.place.config / "kubelet.yaml", self.place.config / "kubelet.kubeconfig"
        return Command("kubelet", [
            str(self.hyperkube), "kubelet", f"--config={config}", f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}", f"--root-dir={self.place.data / 'kubelet'}",
            f"--cert-dir={self.place.pki}",
        ], [config, kubeconfig])  # fmt: skip

    def proxy(self) -> Command:
        config, kubeconfig = self.place.config / "kube-proxy.yaml", self.place.config / "kube-proxy.kubeconfig"
        return Command("kube-proxy", [str(self.hyperkube), "kube-proxy", f"--config={config}"], [config, kubeconfig])


def cluster_commands(hyperkube: Path, place: Place) -> dict[str, Command]:
    """Every component of the cluster by its name, in the order in which they can start."""
    control_plane = ControlPlaneCommands(hyperkube, place, CLUSTER_ENDPOINTS)
    node = NodeCommands(hyperkube, place)
    commands = [
        control_plane.etcd(), node.containerd(), control_plane.apiserver(*node.apiserver_flags()),
        control_plane.controller_manager(), node.scheduler(), node.kubelet(), node.proxy(),
    ]  # fmt: skip
    return {command.name: command for command in commands}


PORTS = {
    "etcd": [("127.0.0.1", CLUSTER_ENDPOINTS.etcd_port), ("127.0.0.1", CLUSTER_ENDPOINTS.etcd_peer_port)],
    "kube-apiserver": [(NODE_ADDRESS, CLUSTER_ENDPOINTS.port)],
    "kube-controller-manager": [("127.0.0.1", CLUSTER_ENDPOINTS.controller_manager_port)],
    "kube-scheduler": [("127.0.0.1", 10259)],
    "kubelet": [(NODE_ADDRESS, 10250), ("127.0.0.1", 10248)],
    "kube-proxy": [("127.0.0.1", 10256), ("127.0.0.1", 10249)],
}
"""What the cluster's components listen on, by (address, port)."""


HEALTH = {"kubelet": "http://127.0.0.1:10248/healthz", "kube-proxy": "http://127.0.0.1:10256/healthz"}
"""What answers 200 when the component does its work."""


def _kubeconfigs(path: Path) -> Sequence[str]:
    return [f"--{purpose}kubeconfig={path}" for purpose in ("", "authentication-", "authorization-")]


def kubelet_config(place: Place) -> str:
    return json.dumps({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{place.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{place.pki}/node.crt",
        "tlsPrivateKeyFile": f"{place.pki}/node.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # There is no cluster DNS: a name that a pod looks up fails at once, and no pod gets a warning for want of a server.
        "clusterDNS": ["127.0.0.1"],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{place.config}/resolv.conf",
        "podLogsDir": f"{place.data}/pod-logs",
        "volumePluginDir": f"{place.data}/volume-plugins",
        "maxPods": MAX_PODS,
        "podPidsLimit": 2000,
        # The disk may be nearly full, and there is no registry to pull an image from again.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi", "imagefs.available": "1Gi"},
        "imageGCHighThresholdPercent": 100,
        # As a busy cluster sets them: 50 pods at once should not wait for the kubelet's own brakes.
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "eventRecordQPS": 500,  # 0 would not be "no limit": the client falls back to 5
        "eventBurst": 1000,
        "registryPullQPS": 0,
        "serializeImagePulls": False,
    }, indent=1)  # fmt: skip


def proxy_config(place: Place) -> str:
    return json.dumps({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": f"{place.config}/kube-proxy.kubeconfig"},
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE,
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        # A pod reaches another through a Service even where the kernel does not pass bridged packets to iptables;
        # node ports on loopback would need a sysctl of the whole machine.
        "iptables": {"masqueradeAll": True, "localhostNodePorts": False},
    }, indent=1)  # fmt: skip


def containerd_config(place: Place) -> str:
    """`restrict_oom_score_adj`: without CAP_SYS_RESOURCE runc may not write the score -998 and every pod would fail."""
    return f"""\
version = 2
root = "{place.data}/containerd"
state = "{RUN}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{RUN}/runc"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{place.config}/cni"
"""


def cni_config() -> str:
    """Bridge and addresses only: masquerading is one rule for all pods (network.py), not three iptables calls for each."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_CIDR, "gateway": NODE_ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{RUN}/leases",
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    return json.dumps({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [bridge]}, indent=1)
