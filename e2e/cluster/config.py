"""The configuration files of the node's programs: text from an instance, nothing read or written."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.cluster.instance import NODE, Instance

POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"
PAUSE_IMAGE = "localhost/codesession-e2e-pause:1"


def containerd(state: Path) -> str:
    cri = 'plugins."io.containerd.cri.v1'
    return f"""version = 3
root = "{state}/containerd"
state = "{state}/containerd-run"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
address = "{state}/containerd.sock"
[ttrpc]
address = "{state}/containerd.sock.ttrpc"
[{cri}.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"
[{cri}.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[{cri}.runtime".cni]
bin_dirs = ["{state}/cni/bin"]
conf_dir = "{state}/cni/conf"
[{cri}.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.runtime".containerd.runtimes.runsc]
runtime_type = "io.containerd.runsc.v1"
[{cri}.runtime".containerd.runtimes.runsc.options]
TypeUrl = "io.containerd.runsc.v1.options"
ConfigPath = "{state}/runsc.toml"
"""


def runsc(state: Path, binary: Path) -> str:
    return f"""binary_name = "{binary}"
root = "{state}/runsc"
[runsc_config]
platform = "systrap"
"""


def kubelet(instance: Instance, pki: Path) -> str:
    state = instance.state
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{pki}/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": f"{pki}/kubelet.crt",
            "tlsPrivateKeyFile": f"{pki}/kubelet.key",
            "containerRuntimeEndpoint": f"unix://{state}/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{instance.name}",
            "failSwapOn": False,
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": f"{state}/resolv.conf",
            "podLogsDir": f"{state}/pod-logs",
            "volumePluginDir": f"{state}/volume-plugins",
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            # Two cores run the control plane, the node and the tests: answer a new pod at once all the same.
            "syncFrequency": "10s",
        }
    )


def kube_proxy(pki: Path) -> str:
    return json.dumps(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": f"{pki}/proxy.kubeconfig"},
            "clusterCIDR": POD_CIDR,
            "hostnameOverride": NODE,
            "conntrack": {"maxPerCore": 0},
        }
    )


def cni(instance: Instance) -> str:
    calico = {
        "type": "calico",
        "datastore_type": "kubernetes",
        "nodename": NODE,
        "nodename_file_optional": True,
        "log_level": "warning",
        "log_file_path": f"{instance.state}/log/cni.log",
        "ipam": {"type": "host-local", "subnet": "usePodCidr", "dataDir": f"{instance.state}/cni/addresses"},
        "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": str(instance.cluster.kubeconfig)},
    }
    portmap = {"type": "portmap", "snat": True, "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.3.1", "name": instance.name, "plugins": [calico, portmap]})


def felix(instance: Instance) -> dict[str, str]:
    """Felix's environment. Pods may reach the node, where the apiserver is; policies decide the rest."""
    values = {
        "DATASTORETYPE": "kubernetes",
        "FELIXHOSTNAME": NODE,
        "DEFAULTENDPOINTTOHOSTACTION": "ACCEPT",
        "IPTABLESBACKEND": "NFT",
        "IPV6SUPPORT": "false",
        "BPFENABLED": "false",
        "TYPHAK8SSERVICENAME": "none",
        "LOGFILEPATH": "none",
        "LOGSEVERITYFILE": "none",
        "LOGSEVERITYSCREEN": "warning",
        "USAGEREPORTINGENABLED": "false",
        "MTUIFACEPATTERN": f"^{instance.node_link}$",
    }
    environment = {f"FELIX_{name}": value for name, value in values.items()}
    return environment | {"KUBECONFIG": str(instance.cluster.kubeconfig), "DATASTORE_TYPE": "kubernetes"}


def audit_policy() -> str:
    return json.dumps(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        }
    )


def local_path(state: Path) -> str:
    """The provisioner's own copy of what its ConfigMap says."""
    everywhere = {"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [f"{state}/volumes"]}
    return json.dumps({"nodePathMap": [everywhere]})
