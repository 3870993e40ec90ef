"""The VPC of a cluster: zones, subnets, and what stands in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from lab_helpers.views import vpc_map

CLUSTER = {
    "name": "shop", "version": "1.36", "platformVersion": "eks.1", "status": "ACTIVE", "endpoint": "https://127.0.0.1:1",
    "resourcesVpcConfig": {
        "subnetIds": ["subnet-a", "subnet-b", "subnet-p"], "endpointPublicAccess": True, "endpointPrivateAccess": False,
    },
}  # fmt: skip


def subnet(name: str, zone: str, net: int) -> dict:
    return {"SubnetId": f"subnet-{name}", "AvailabilityZone": f"us-east-1{zone}", "CidrBlock": f"10.0.{net}.0/24"}


PARTS = {
    "cluster": CLUSTER,
    "vpc": {"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"},
    "subnets": [subnet("p", "a", 2), subnet("a", "a", 0), subnet("b", "b", 1), subnet("c", "c", 3)],
    "tables": [
        {"Associations": [{"SubnetId": "subnet-a"}, {"SubnetId": "subnet-b"}], "Routes": [{"GatewayId": "igw-1"}]},
        {"Associations": [{"Main": True}], "Routes": [{"GatewayId": "local"}, {"NatGatewayId": "nat-1"}]},
    ],
    "interfaces": [
        {
            "SubnetId": "subnet-a",
            "Description": "Amazon EKS shop",
            "NetworkInterfaceId": "eni-1",
            "PrivateIpAddress": "10.0.0.9",
        },
        {
            "SubnetId": "subnet-b",
            "Description": "of an instance",
            "NetworkInterfaceId": "eni-2",
            "PrivateIpAddress": "10.0.1.9",
        },
    ],
    "gateways": [
        {"SubnetId": "subnet-a", "NatGatewayId": "nat-1", "State": "available"},
        {"SubnetId": "subnet-b", "NatGatewayId": "nat-0", "State": "deleted"},
    ],
    "instances": [{"SubnetId": "subnet-b", "InstanceId": "i-1", "InstanceType": "t2.micro", "PrivateIpAddress": "10.0.1.9"}],
    "balancers": [{"LoadBalancerName": "front<", "AvailabilityZones": [{"SubnetId": "subnet-p"}]}],
}


def test_each_thing_stands_in_its_subnet_once():
    drawn = vpc_map(**PARTS)
    ET.fromstring(drawn.html)
    assert "us-east-1a, public 10.0.0.0/24 (subnet-a): control plane eni-1 10.0.0.9; NAT gateway nat-1." in drawn.alt
    assert "us-east-1a, private 10.0.2.0/24 (subnet-p): load balancer front<." in drawn.alt
    assert "us-east-1b, public 10.0.1.0/24 (subnet-b): node i-1 t2.micro 10.0.1.9." in drawn.alt
    assert "nat-0" not in drawn.alt and "eni-2" not in drawn.alt, "what is gone, and what belongs to a node, is not told"
    assert "subnet-c" not in drawn.alt, "a subnet of the VPC that the cluster does not use, and that is empty"
    assert "2 zones, 3 subnets" in drawn.html


def test_the_control_plane_is_drawn_outside_and_says_how_it_is_reached():
    drawn = vpc_map(**PARTS)
    assert "in AWS&#x27;s account" in drawn.html and "one address, public: https://127.0.0.1:1" in drawn.html
    young = {**CLUSTER, "status": "CREATING"}
    del young["endpoint"]
    assert "none yet" in vpc_map(**{**PARTS, "cluster": young}).html


def test_a_vpc_without_anything():
    empty = {name: [] for name in PARTS if name not in ("cluster", "vpc")}
    assert "0 zones" in vpc_map(**PARTS | empty).html
