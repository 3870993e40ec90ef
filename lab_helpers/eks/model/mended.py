"""What moto's other services do otherwise than AWS, mended where EKS and eksctl meet it. Each states what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.instances import Instance
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.subnets import Subnet

_mended = False


def mend() -> None:
    """Mend moto, once for a process."""
    global _mended
    if _mended:
        return
    _mended = True
    group: Any = FakeAutoScalingGroup
    group.replace_autoscaling_group_instances = _spread(group.replace_autoscaling_group_instances)
    subnet, table = (Subnet, RouteTable)  # type: Any, Any
    subnet.create_from_cloudformation_json = classmethod(_public(subnet.create_from_cloudformation_json.__func__))
    table.delete_from_cloudformation_json = classmethod(_delete_table)
    machine: Any = Instance
    machine.terminate = _with_interfaces(machine.terminate)
    gateway, address = (NatGateway, ElasticAddress)  # type: Any, Any
    gateway.delete_from_cloudformation_json = classmethod(_delete_gateway)
    address.delete_from_cloudformation_json = classmethod(_release)


def stacks() -> None:
    """Import moto's CloudFormation, which takes six seconds of a processor, and mend it."""
    from moto.cloudformation import responses

    answers: Any = responses.CloudFormationResponse
    answers.update_termination_protection = _update_termination_protection


def _spread(one_subnet: Callable[..., None]) -> Callable[..., None]:
    """moto puts every instance of a group into its first subnet; AWS spreads them over the zones."""

    def replace(self: Any, count: int, tags: dict[str, str]) -> None:
        everywhere = self.vpc_zone_identifier
        subnets = [one for one in (everywhere or "").split(",") if one]
        if not subnets:
            one_subnet(self, count, tags)
            return
        for _ in range(count):
            used = [state.instance.subnet_id for state in self.instance_states if state.instance.state == "running"]
            self.vpc_zone_identifier = min(subnets, key=used.count)
            try:
                one_subnet(self, 1, tags)
            finally:
                self.vpc_zone_identifier = everywhere

    return replace


def _public(create: Callable[..., Any]) -> Callable[..., Any]:
    """moto drops MapPublicIpOnLaunch of a template; `eksctl create nodegroup` then refuses the VPC that eksctl made."""

    def made(cls: Any, resource_name: str, cloudformation_json: Any, *rest: Any, **kwargs: Any) -> Any:
        subnet = create(cls, resource_name, cloudformation_json, *rest, **kwargs)
        subnet.map_public_ip_on_launch = str(cloudformation_json["Properties"].get("MapPublicIpOnLaunch", False)).lower()
        return subnet

    return made


def _delete_table(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
    """moto never deletes the route tables of a stack, so its VPC stays: `eksctl delete cluster` fails."""
    ec2_backends[account_id][region_name].delete_route_table(resource_name)


def _with_interfaces(terminate: Callable[..., Any]) -> Callable[..., Any]:
    """moto keeps the interfaces of ended instances; those made with one end with it.

    Their addresses are not given again: nodes are named by them, and an old node of that name may still be there.
    """

    def terminated(self: Any) -> Any:
        before = terminate(self)
        for interface in self.nics.values():
            self.ec2_backend.enis.pop(interface.id, None)
        return before

    return terminated


def _delete_gateway(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
    """moto never deletes the NAT gateway of a stack: it would go on costing, and its interface would hold the subnet."""
    backend: Any = ec2_backends[account_id][region_name]
    gateway = backend.delete_nat_gateway(resource_name)
    backend.enis.pop(gateway._eni.id, None)


def _release(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
    """moto never releases the public addresses of a stack: each would go on costing."""
    ec2_backends[account_id][region_name].release_address(address=resource_name)


def _update_termination_protection(self: Any) -> ActionResult:
    """moto lacks it; eksctl switches it off before every deletion."""
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.enable_termination_protection = str(self._get_param("EnableTerminationProtection")).lower() == "true"
    return ActionResult({"StackId": stack.stack_id})
