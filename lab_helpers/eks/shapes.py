"""What an EC2 instance is as a Kubernetes node: the rules of EKS's AMI, from what EC2 says of its type.

Sources: awslabs/amazon-eks-ami (nodeadm: max Pods from the network interfaces of the default card; kubeReserved of CPU and
memory), the EKS user guide, "Choose an optimal Amazon EC2 node instance type".
"""

from __future__ import annotations

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
