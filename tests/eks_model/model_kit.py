"""An account for the tests: moto with the lab's EKS, on 127.0.0.1, in this process; and a VPC and roles as EKS wants them."""

from __future__ import annotations

import json
import threading
import time

import boto3
from botocore.config import Config
from werkzeug.serving import WSGIRequestHandler, make_server

from lab_helpers.eks import model

REGION = "us-east-1"


class Quiet(WSGIRequestHandler):
    """No line for each request: they would hide what a test says."""

    def log_request(self, *arguments):
        pass


class Endpoint:
    """moto's server with the lab's EKS."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        model.install()
        model.warm()
        self.server = make_server(
            "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet
        )
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def client(self, service: str, validate: bool = True):
        settings = Config(parameter_validation=validate, retries={"max_attempts": 0}, read_timeout=120)
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=settings,
        )

    def close(self) -> None:
        model.stop()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Site:
    """A VPC with subnets in three zones, and the roles of a cluster, its nodes and its Fargate Pods."""

    def __init__(self, endpoint: Endpoint) -> None:
        ec2, iam = endpoint.client("ec2"), endpoint.client("iam")
        self.vpc = ec2.create_vpc(CidrBlock="192.168.0.0/16")["Vpc"]["VpcId"]
        zones = {f"{REGION}{zone}": f"192.168.{32 * n}.0/19" for n, zone in enumerate("abc")}
        made = [ec2.create_subnet(VpcId=self.vpc, CidrBlock=net, AvailabilityZone=zone) for zone, net in zones.items()]
        self.subnets = [one["Subnet"]["SubnetId"] for one in made]
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        self.roles = {}
        for name in ("cluster", "node", "fargate"):
            try:
                self.roles[name] = iam.create_role(RoleName=f"test-{name}", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
            except iam.exceptions.EntityAlreadyExistsException:
                self.roles[name] = iam.get_role(RoleName=f"test-{name}")["Role"]["Arn"]

    def cluster(self, name: str, **more):
        return {
            "name": name,
            "roleArn": self.roles["cluster"],
            "resourcesVpcConfig": {"subnetIds": self.subnets},
            "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
            "bootstrapSelfManagedAddons": False,
            **more,
        }

    def nodegroup(self, cluster: str, name: str, **more):
        return {"clusterName": cluster, "nodegroupName": name, "nodeRole": self.roles["node"], "subnets": self.subnets, **more}


def until(ready, seconds: float = 60, what: str = ""):
    """Wait until `ready()` is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = ready()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what or ready}"
        time.sleep(0.1)


def group(eks, cluster="shop", name="blue"):
    """A node group as described."""
    return eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
