"""What an EC2 instance is as a Kubernetes node: the rules of EKS's AMI, from what EC2 says of its type.

Sources: awslabs/amazon-eks-ami (nodeadm: max Pods from the network interfaces of the default card; kubeReserved of CPU and
memory), the EKS user guide, "Choose an optimal Amazon EC2 node instance type".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_OVERHEAD = 0.075  # of the memory, taken by hypervisor and kernel: Karpenter's figure
_EVICTION = 100  # MiB, the kubelet's hard threshold in EKS's AMI
# Reserved CPU: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the others, in millicores.
_RESERVED = ((1, 60.0), (1, 10.0), (2, 5.0), (10**6, 2.5))


@dataclass(frozen=True)
class Shape:
    """An instance type as a node.

    Attributes:
        cpu: cores.
        memory: MiB that the node sees.
        pods: most Pods: network interfaces × (addresses − 1) + 2.
        architecture: amd64 or arm64.
    """

    cpu: int
    memory: int
    pods: int
    architecture: str

    @property
    def capacity(self) -> dict[str, str]:
        """The node's status.capacity."""
        return {
            "cpu": str(self.cpu),
            "memory": f"{self.memory * 1024}Ki",
            "pods": str(self.pods),
            "ephemeral-storage": "20893676Ki",
        }

    @property
    def allocatable(self) -> dict[str, str]:
        """The node's status.allocatable."""
        left, reserved = self.cpu, 0.0
        for cores, each in _RESERVED:
            reserved += min(left, cores) * each
            left -= min(left, cores)
        memory = self.memory - (255 + 11 * self.pods) - _EVICTION
        return {
            **self.capacity,
            "cpu": f"{int(1000 * self.cpu - reserved)}m",
            "memory": f"{memory * 1024}Ki",
            "ephemeral-storage": "18181869946",
        }


def shape(facts: dict[str, Any]) -> Shape:
    """An instance type as a node.

    Args:
        facts: one entry of DescribeInstanceTypes.
    """
    network = facts["NetworkInfo"]
    interfaces = network["NetworkCards"][network.get("DefaultNetworkCardIndex", 0)]["MaximumNetworkInterfaces"]
    pods = interfaces * (network["Ipv4AddressesPerInterface"] - 1) + 2
    memory = int(facts["MemoryInfo"]["SizeInMiB"] * (1 - _OVERHEAD))
    return Shape(facts["VCpuInfo"]["DefaultVCpus"], memory, pods, architecture(facts))


def architecture(facts: dict[str, Any]) -> str:
    """amd64 or arm64."""
    return "amd64" if "x86_64" in facts["ProcessorInfo"]["SupportedArchitectures"] else "arm64"


# What Fargate sells: vCPU, and GiB from … to … (EKS user guide, "Understand Fargate Pod configuration details").
_FARGATE = ((0.25, 0.5, 2), (0.5, 1, 4), (1, 2, 8), (2, 4, 16), (4, 8, 30), (8, 16, 60), (16, 32, 120))
_QUARTER = 0.25  # GiB that Fargate adds for kubelet, kube-proxy and containerd


def fargate(cpu: float, memory: float) -> tuple[float, float]:
    """The vCPU and GiB that Fargate gives (and bills) a Pod: its requests plus 256 MiB, rounded up to a configuration.

    Args:
        cpu: cores that the Pod requests.
        memory: GiB that it requests.
    """
    memory += _QUARTER
    for vcpu, least, most in _FARGATE:
        step = 1.0 if vcpu <= 4 else 4.0 if vcpu == 8 else 8.0
        if cpu <= vcpu and memory <= most:
            if vcpu == 0.25:
                return vcpu, next(one for one in (0.5, 1.0, 2.0) if memory <= one)
            return vcpu, max(float(least), math.ceil(memory / step) * step)
    return 16, 120
