"""CloudFormation by hand: a stack with a cluster, and what becomes of it when somebody deletes the cluster without it."""

from __future__ import annotations

import json

from botocore.exceptions import ClientError
from model_kit import until


def template(site) -> str:
    """A stack that is one cluster and shows its endpoint."""
    asked = {"RoleArn": site.roles["cluster"], "ResourcesVpcConfig": {"SubnetIds": site.subnets}}
    cluster = {"Type": "AWS::EKS::Cluster", "Properties": {"Name": "by-hand", **asked}}
    output = {"Value": {"Fn::GetAtt": ["Cluster", "Endpoint"]}}
    return json.dumps({"Resources": {"Cluster": cluster}, "Outputs": {"Endpoint": output}})


def test_a_stack_keeps_its_outputs_and_can_be_deleted_when_its_cluster_is_gone(eks, endpoint, site):
    formation = endpoint.client("cloudformation")
    formation.create_stack(StackName="by-hand", TemplateBody=template(site))

    def stack():
        try:
            return formation.describe_stacks(StackName="by-hand")["Stacks"][0]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ValidationError", error  # "does not exist": not a fault of the service
            return {"StackStatus": "DELETE_COMPLETE"}

    until(lambda: stack()["StackStatus"] == "CREATE_COMPLETE", 90)
    shown = eks.describe_cluster(name="by-hand")["cluster"]["endpoint"]
    assert [one["OutputValue"] for one in stack()["Outputs"]] == [shown]
    eks.delete_cluster(name="by-hand")
    until(lambda: "by-hand" not in eks.list_clusters()["clusters"], 60)
    assert [one["OutputValue"] for one in stack()["Outputs"]] == [shown], "outputs stay"
    formation.delete_stack(StackName="by-hand")
    until(lambda: stack()["StackStatus"] == "DELETE_COMPLETE", 30)
