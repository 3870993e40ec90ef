"""Every operation of EKS's model in the botocore that is installed: requests generated from it, answers held against it."""

from __future__ import annotations

import contextlib
import datetime

import botocore.session
import pytest
from botocore.exceptions import ClientError
from model_kit import until

from lab_helpers.eks.model.registry import NOT_PLAYED, OPERATIONS

MODEL = botocore.session.get_session().get_service_model("eks")
NAME = "contract"
# What would end the cluster comes last; what makes things comes first.
ORDER = {"Create": 0, "Associate": 1, "Delete": 8, "Disassociate": 7, "Deregister": 8}


def turn(name):
    """When an operation is sent."""
    if name == "DeleteCluster":
        return 9
    return next((place for begin, place in ORDER.items() if name.startswith(begin)), 4)


NAMES = sorted(MODEL.operation_names, key=lambda name: (turn(name), name))


def sample(shape, name, site, full):
    """A value of a shape: what the account has, by the member's name; else the first that the shape allows."""
    known = {
        "name": NAME,
        "clusterName": NAME,
        "nodegroupName": "blue",
        "fargateProfileName": "shop",
        "addonName": "coredns",
        "addonVersion": "v1.13.1-eksbuild.1",
        "version": "1.36",
        "roleArn": site.roles["cluster"],
        "nodeRole": site.roles["node"],
        "nodeRoleArn": site.roles["node"],
        "podExecutionRoleArn": site.roles["fargate"],
        "serviceAccountRoleArn": site.roles["node"],
        "targetRoleArn": site.roles["node"],
        "principalArn": site.roles["node"],
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
        "resourceArn": f"arn:aws:eks:us-east-1:123456789012:cluster/{NAME}",
        "kubernetesVersion": "1.36",
        "configurationValues": '{"replicaCount": 3}',
        "issuerUrl": "https://issuer.example.org",
        "type": "oidc" if shape.name == "String" else None,
    }
    if known.get(name) and shape.type_name == "string":
        return known[name]
    if name == "subnets" or name == "subnetIds":
        return site.subnets
    if name in ("instanceTypes",):
        return ["t3.medium"]
    kind = shape.type_name
    if kind == "structure":
        return request(shape, site, full)
    if kind == "list":
        return [sample(shape.member, name, site, full)]
    if kind == "map":
        return {"key": "value"}
    if kind == "string":
        return shape.enum[0] if getattr(shape, "enum", None) else "a"
    return {"integer": 1, "long": 1, "boolean": True, "timestamp": datetime.datetime.now(datetime.UTC)}[kind]


def request(shape, site, full):
    wanted = shape.members if full else shape.required_members
    return {name: sample(shape.members[name], name, site, full) for name in wanted}


def enums(shape, value, path=()):
    """Where in a request a value is one of a few."""
    if shape.type_name == "structure":
        for name, item in value.items():
            yield from enums(shape.members[name], item, (*path, name))
    elif shape.type_name == "list" and value:
        yield from enums(shape.member, value[0], (*path, 0))
    elif getattr(shape, "enum", None):
        yield path


def with_wrong(value, path):
    """The request with something else at that place."""
    if not path:
        return "nothing-of-the-kind"
    if isinstance(value, list):
        return [with_wrong(value[0], path[1:])]
    return {key: with_wrong(item, path[1:]) if key == path[0] else item for key, item in value.items()}


def variants(shape, site):
    """(what it is, request) of an operation: minimal, full, each required member missing, each enum wrong."""
    least, most = request(shape, site, full=False), request(shape, site, full=True)
    yield "minimal", least
    yield "all optionals", most
    for name in shape.required_members:
        if shape.members[name].serialization.get("location") == "uri":
            continue  # without it there is no address to send to
        yield f"without {name}", {key: value for key, value in least.items() if key != name}
    for path in enums(shape, most):
        yield f"wrong {'.'.join(map(str, path))}", with_wrong(most, path)


KINDS = {"string": str, "integer": int, "long": int, "boolean": bool, "timestamp": datetime.datetime, "list": list, "map": dict}


def holds(shape, value, path=""):
    """Hold an answer against its shape: kinds, required members, enums."""
    if shape.type_name == "structure":
        for name in shape.required_members:
            assert name in value, f"{path}.{name} is missing"
        for name, item in value.items():
            if name in shape.members:
                holds(shape.members[name], item, f"{path}.{name}")
        return
    assert isinstance(value, KINDS[shape.type_name]), f"{path} is {value!r}"
    if shape.type_name == "list":
        for item in value:
            holds(shape.member, item, f"{path}[]")
    if getattr(shape, "enum", None):
        assert value in shape.enum, f"{path} is {value!r}"


@pytest.fixture(scope="module")
def cluster(eks, site):
    eks.create_cluster(**site.cluster(NAME))
    until(lambda: eks.describe_cluster(name=NAME)["cluster"]["status"] == "ACTIVE", what="ACTIVE")
    yield NAME
    cleaned(eks)


def cleaned(eks):
    """Every request has been sent: what there is, and in which state, is nobody's plan. Ask until the cluster is gone."""

    def gone():
        with contextlib.suppress(eks.exceptions.ClientError):
            for group in eks.list_nodegroups(clusterName=NAME)["nodegroups"]:
                with contextlib.suppress(eks.exceptions.ClientError):
                    eks.delete_nodegroup(clusterName=NAME, nodegroupName=group)
            for profile in eks.list_fargate_profiles(clusterName=NAME)["fargateProfileNames"]:
                with contextlib.suppress(eks.exceptions.ClientError):
                    eks.delete_fargate_profile(clusterName=NAME, fargateProfileName=profile)
            eks.delete_cluster(name=NAME)
        return status(eks) == "gone"

    until(gone, 120)


def status(eks):
    try:
        return eks.describe_cluster(name=NAME)["cluster"]["status"]
    except eks.exceptions.ResourceNotFoundException:
        return "gone"


def test_every_operation_is_played_or_has_a_reason():
    """The table of operations is complete, and names nothing that is not there."""
    assert set(MODEL.operation_names) == set(OPERATIONS) | set(NOT_PLAYED)
    assert not set(OPERATIONS) & set(NOT_PLAYED)
    assert all((function.__doc__ or "").strip() for function in OPERATIONS.values())


def test_every_answer_has_the_shape_of_the_model(endpoint, cluster, site):
    client, sent, wrong = endpoint.client("eks", validate=False), 0, []
    for name in NAMES:
        model = MODEL.operation_model(name)
        errors = {shape.name for shape in model.error_shapes}
        for what, body in variants(model.input_shape, site):
            method = getattr(client, botocore.xform_name(name))
            sent += 1
            try:
                answer = method(**body)
                meta = answer.pop("ResponseMetadata")
                holds(model.output_shape, answer)
                if what.startswith(("without", "wrong")):
                    wrong.append(f"{name}, {what}: accepted")
            except ClientError as error:
                meta = error.response["ResponseMetadata"]
                if error.response["Error"]["Code"] not in errors or not error.response["Error"]["Message"]:
                    wrong.append(f"{name}, {what}: {error.response['Error']}")
            except AssertionError as error:
                wrong.append(f"{name}, {what}: {error}")
                continue
            if meta["HTTPStatusCode"] >= 500 or not meta["HTTPHeaders"].get("content-type", "").startswith("application/json"):
                wrong.append(f"{name}, {what}: {meta}")
    assert not wrong, "\n".join(wrong)
    assert sent > 200
