"""CreateFleet of type instant: instances at once, the cheapest pool that has capacity first, as Karpenter starts them.

moto takes the first override instead of the cheapest, leaves out the template's security groups, instance profile and
disks, and knows neither spot requests nor Errors. Fleets of the other types stay moto's.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance
from moto.ec2.responses.fleets import Fleets
from moto.ec2.utils import convert_tag_spec, random_fleet_id, random_spot_request_id
from moto.ssm.models import ssm_backends

from lab_helpers.eks import prices

NO_CAPACITY = "/lab/no-capacity"
"""An SSM parameter: pools that have no capacity now, `TYPE/ZONE/CAPACITY` with commas between; `*` stands for anything, and
what is left out is any. `c6a.*, m5.large/us-east-1a, */*/spot`. As at work, nobody can see it before it happens."""


def mend() -> None:
    """Put it in moto's place."""
    fleets, instance = Fleets, Instance  # type: Any, Any
    whole = fleets.create_fleet

    def create_fleet(self: Any) -> ActionResult:
        return _instant(self) if self._get_param("Type") == "instant" else whole(self)

    fleets.create_fleet = create_fleet
    instance.spot_instance_request_id = None  # DescribeInstances shows it; by it Karpenter knows spot instances


def _instant(self: Any) -> ActionResult:
    self.error_on_dryrun()
    target = self._get_param("TargetCapacitySpecification", {})
    capacity, count = target.get("DefaultTargetCapacityType", "on-demand"), int(target["TotalTargetCapacity"])
    tags, fleet = convert_tag_spec(self._get_param("TagSpecifications", [])), random_fleet_id()
    started, errors = list[dict[str, Any]](), list[dict[str, Any]]()
    empty, pools = list(_empty(self)), list[tuple[float, str, dict[str, Any], dict[str, Any]]]()
    for config in self._get_param("LaunchTemplateConfigs", []):
        for pool in config.get("Overrides", []):
            zone = str(pool.get("AvailabilityZone") or self.ec2_backend.get_subnet(pool["SubnetId"]).availability_zone)
            price = _price(pool["InstanceType"], zone, capacity)
            pools.append((price, zone, config["LaunchTemplateSpecification"], pool))
    # AWS's price-capacity-optimized looks at capacity, too; the lab's market has no other figure than the price.
    for _, zone, template, pool in sorted(pools, key=lambda one: one[0]):
        kind = pool["InstanceType"]
        said = {
            "LaunchTemplateAndOverrides": {"LaunchTemplateSpecification": template, "Overrides": pool},
            "Lifecycle": capacity,
        }
        if any(_matches(one, kind, zone, capacity) for one in empty):
            words = f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone})."
            errors.append({**said, "ErrorCode": "InsufficientInstanceCapacity", "ErrorMessage": words})
            continue
        found = _template(self, template)
        numbers = [_start(self, found, pool, capacity, tags, fleet) for _ in range(count)]
        started.append({**said, "InstanceIds": numbers, "InstanceType": kind})
        break
    return ActionResult({"FleetId": fleet, "Instances": started, "Errors": errors})


def _price(kind: str, zone: str, capacity: str) -> float:
    price = prices.spot(kind, zone) if capacity == "spot" else prices.on_demand(kind)
    return float("inf") if price is None else price


def _empty(self: Any) -> Iterator[list[str]]:
    held = ssm_backends[self.current_account][self.region]._parameters.get(NO_CAPACITY)
    for text in held[-1].value.split(",") if held else []:
        parts = [part.strip() or "*" for part in text.split("/")]
        yield [*parts, *["*"] * (3 - len(parts))]


def _matches(patterns: list[str], *values: str) -> bool:
    return all(fnmatch(value, pattern) for value, pattern in zip(values, patterns, strict=False))


def _template(self: Any, asked: dict[str, Any]) -> Any:
    """The version of a launch template that is asked for, with its template."""
    ec2, name = self.ec2_backend, asked.get("LaunchTemplateName")
    found = ec2.get_launch_template_by_name(name) if name else ec2.get_launch_template(asked["LaunchTemplateId"])
    number = str(asked.get("Version") or "$Default")
    return found, found.get_version(number) if number.isdigit() else found.latest_version()


def _start(self: Any, found: Any, pool: dict[str, Any], capacity: str, tags: dict[str, Any], fleet: str) -> str:
    (template, version), ec2 = found, self.ec2_backend
    data = version.data
    # Karpenter's templates name the security groups at the network interface.
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    disks = [_disk(one) for one in data.get("BlockDeviceMappings") or []]
    instance = ec2.run_instances(
        pool.get("ImageId") or data["ImageId"],
        1,
        data.get("UserData"),
        [],
        instance_type=pool["InstanceType"],
        is_instance_type_default=False,
        region_name=self.region,
        subnet_id=pool["SubnetId"],
        security_group_ids=list(data.get("SecurityGroupIds") or interface.get("Groups") or []),
        tags=tags,
        metadata_options=data.get("MetadataOptions"),
        lifecycle="spot" if capacity == "spot" else None,
        **({"block_device_mappings": disks} if disks else {}),
    ).instances[0]
    instance.add_tags(
        {
            "aws:ec2:fleet-id": fleet,
            "aws:ec2launchtemplate:id": template.id,
            "aws:ec2launchtemplate:version": str(version.number),
        }
    )
    if capacity == "spot":
        instance.spot_instance_request_id = random_spot_request_id()
    if profile := data.get("IamInstanceProfile"):
        ec2.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
    return str(instance.id)


def _disk(asked: dict[str, Any]) -> dict[str, Any]:
    """A disk as moto takes it: it ends with its instance, unless the template says otherwise (moto: the reverse)."""
    ebs = {"DeleteOnTermination": True, **(asked.get("Ebs") or {})}
    return {**asked, "Ebs": {**ebs, "DeleteOnTermination": str(ebs["DeleteOnTermination"]).lower() == "true"}}
