"""What moto's other services do otherwise than AWS, mended where EKS and eksctl meet it. Each states what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.core.responses import ActionResult
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.instances import Instance
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.subnets import Subnet, SubnetRouteTableAssociation
from moto.iam.models import OpenIDConnectProvider

_mended = False


def mend() -> None:
    """Mend moto, once for a process."""
    global _mended
    if _mended:
        return
    _mended = True
    group: Any = FakeAutoScalingGroup
    group.replace_autoscaling_group_instances = _as_ordered(_spread(group.replace_autoscaling_group_instances))
    scaling: Any = AutoScalingBackend
    scaling.set_desired_capacity = _of_a_group(scaling.set_desired_capacity)
    subnet, table = (Subnet, RouteTable)  # type: Any, Any
    subnet.create_from_cloudformation_json = classmethod(_public(subnet.create_from_cloudformation_json.__func__))
    table.delete_from_cloudformation_json = classmethod(_delete_table)
    link: Any = SubnetRouteTableAssociation
    link.create_from_cloudformation_json = classmethod(_associated(link.create_from_cloudformation_json.__func__))
    machine: Any = Instance
    machine.terminate = _with_interfaces(machine.terminate)
    everything: Any = EC2Backend
    everything.__init__ = _with_a_way_out(everything.__init__)
    provider: Any = OpenIDConnectProvider
    provider.__init__ = _without_port(provider.__init__)
    gateway, address = (NatGateway, ElasticAddress)  # type: Any, Any
    gateway.delete_from_cloudformation_json = classmethod(_delete_gateway)
    address.delete_from_cloudformation_json = classmethod(_release)


def stacks() -> None:
    """Import moto's CloudFormation, which takes six seconds of a processor, and mend it."""
    from moto.cloudformation import models, responses

    answers: Any = responses.CloudFormationResponse
    answers.update_termination_protection = _update_termination_protection
    stack: Any = models.Stack
    stack.parse_template = staticmethod(_in_pairs(stack.parse_template))


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


def _as_ordered(start: Callable[..., None]) -> Callable[..., None]:
    """moto starts a group's instances without their launch template's instance profile: no self-managed node could join.

    It also gives each a root volume beside the template's own, and keeps the latter when the instance ends: both would cost.
    """

    def replace(self: Any, count: int, tags: dict[str, str]) -> None:
        before = {state.instance.id for state in self.instance_states}
        start(self, count, tags)
        ec2: Any = self.autoscaling_backend.ec2_backend
        template: Any = self.ec2_launch_template
        profile: Any = template.get_version(self.launch_template_version).data.get("IamInstanceProfile") if template else None
        for machine in [state.instance for state in self.instance_states if state.instance.id not in before]:
            if profile:
                ec2.associate_iam_instance_profile(machine.id, profile.get("Name"), profile.get("Arn"))
            devices = machine.block_device_mapping
            if _ROOT in devices and _DEFAULT in devices:
                devices[_ROOT].delete_on_termination = True
                extra = devices[_DEFAULT].volume_id
                ec2.detach_volume(extra, machine.id, _DEFAULT)
                ec2.delete_volume(extra)

    return replace


def _of_a_group(set_size: Callable[..., None]) -> Callable[..., None]:
    """moto falls over a group that is not there; Auto Scaling says so."""

    def set_desired_capacity(self: Any, group_name: str, desired_capacity: int | None) -> None:
        if group_name not in self.autoscaling_groups:
            raise ValidationError("AutoScalingGroup name not found - null")
        set_size(self, group_name, desired_capacity)

    return set_desired_capacity


_ROOT, _DEFAULT = "/dev/xvda", "/dev/sda1"  # the root device of EKS's AMIs, and of moto


def _public(create: Callable[..., Any]) -> Callable[..., Any]:
    """moto drops MapPublicIpOnLaunch of a template; `eksctl create nodegroup` then refuses the VPC that eksctl made."""

    def made(cls: Any, resource_name: str, cloudformation_json: Any, *rest: Any, **kwargs: Any) -> Any:
        subnet = create(cls, resource_name, cloudformation_json, *rest, **kwargs)
        subnet.map_public_ip_on_launch = str(cloudformation_json["Properties"].get("MapPublicIpOnLaunch", False)).lower()
        return subnet

    return made


def _delete_table(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
    """moto never deletes the route tables of a stack, so its VPC stays: `eksctl delete cluster` fails."""
    backend: Any = ec2_backends[account_id][region_name]
    backend.get_route_table(resource_name)._associations.clear()  # they go first, and moto's stacks do not know how
    backend.delete_route_table(resource_name)


def _with_a_way_out(begin: Callable[..., None]) -> Callable[..., None]:
    """moto's default VPC has no internet gateway; at AWS its subnets are public."""

    def begun(self: Any, *arguments: Any, **kwargs: Any) -> None:
        begin(self, *arguments, **kwargs)
        gateway, vpc = self.create_internet_gateway(), self.default_vpc.id
        self.attach_internet_gateway(gateway.id, vpc)
        main = next(table for table in self.route_tables.values() if table.vpc_id == vpc and table.main_association_id)
        self.create_route(main.id, "0.0.0.0/0", gateway_id=gateway.id)

    return begun


def _associated(create: Callable[..., Any]) -> Callable[..., Any]:
    """moto keeps a stack's associations apart from the route tables: no subnet of it would be public."""

    def made(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **kwargs: Any) -> Any:
        backend, asked = ec2_backends[account_id][region_name], cloudformation_json["Properties"]
        backend.associate_route_table(asked["RouteTableId"], subnet_id=asked["SubnetId"])
        return create(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)

    return made


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


def _without_port(begin: Callable[..., None]) -> Callable[..., None]:
    """eksctl names an issuer with `:443`, and looks for the provider without: AWS drops the port, moto does not."""

    def started(self: Any, account_id: str, region_name: str, url: str, *more: Any, **others: Any) -> None:
        begin(self, account_id, region_name, url.replace(":443/", "/"), *more, **others)

    return started


def _delete_gateway(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
    """moto never deletes the NAT gateway of a stack: it would go on costing, and its interface would hold the subnet."""
    backend: Any = ec2_backends[account_id][region_name]
    gateway = backend.delete_nat_gateway(resource_name)
    backend.enis.pop(gateway._eni.id, None)


def _release(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str) -> None:
    """moto never releases the public addresses of a stack: each would go on costing."""
    ec2_backends[account_id][region_name].release_address(address=resource_name)


def _in_pairs(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """eksctl writes `{"Fn::GetAtt": "Role1.Arn"}` for a service account's role: AWS takes that, moto only the pair."""

    def pairs(part: Any) -> Any:
        if isinstance(part, dict):
            return {
                key: value.split(".", 1) if key == "Fn::GetAtt" and isinstance(value, str) else pairs(value)
                for key, value in part.items()
            }
        return [pairs(one) for one in part] if isinstance(part, list) else part

    return lambda template: pairs(parse(template))


def _update_termination_protection(self: Any) -> ActionResult:
    """moto lacks it; eksctl switches it off before every deletion."""
    stack = self.cloudformation_backend.get_stack(self._get_param("StackName"))
    stack.enable_termination_protection = str(self._get_param("EnableTerminationProtection")).lower() == "true"
    return ActionResult({"StackId": stack.stack_id})
