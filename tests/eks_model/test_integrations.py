"""What a cluster's objects become in other services, what it would cost, and that nothing is left of it."""

from __future__ import annotations

from model_kit import until

from lab_helpers.eks import meter
from lab_helpers.eks.model import table


def test_the_table_of_operations_is_what_the_code_says():
    assert table.FILE.read_text() == table.text(), "python -m lab_helpers.eks.model.table"


def test_a_service_is_a_load_balancer_with_the_pods_as_targets(shop, endpoint, kube):
    labels = {"app": "front"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "front", "image": "front:1"}]}}
    kube.apply(
        [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "front"},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod},
            },
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "front"},
                "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
            },
        ]
    )
    elb = endpoint.client("elbv2")
    found = until(lambda: elb.describe_load_balancers()["LoadBalancers"], 20)
    address = until(lambda: kube.get("service", "front")["status"]["loadBalancer"].get("ingress"), 10)
    assert address == [{"hostname": found[0]["DNSName"]}]
    kube.wait_for("deployment", "front", "Available")
    pods = {item["status"]["podIP"] for item in kube.list("pods", labels="app=front")}

    def targets():
        groups = elb.describe_target_groups()["TargetGroups"]
        rows = (
            elb.describe_target_health(TargetGroupArn=groups[0]["TargetGroupArn"])["TargetHealthDescriptions"] if groups else []
        )
        return {row["Target"]["Id"] for row in rows}

    until(lambda: targets() == pods, 15, f"targets {targets()} are the Pods {pods}")
    kube.delete("service", "front")
    kube.delete("deployment", "front")
    until(lambda: not elb.describe_load_balancers()["LoadBalancers"], 20)
    assert not elb.describe_target_groups()["TargetGroups"]


def test_a_claim_is_a_volume_in_its_pods_zone_and_waits_without_the_add_on(shop, eks, endpoint, kube):
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "4Gi"}}}
    mount = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    kube.apply(
        [
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "gp3"},
                "provisioner": "ebs.csi.aws.com",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": claim},
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "db"},
                "spec": {"containers": [{"name": "db", "image": "db:1"}], "volumes": [mount]},
            },
        ]
    )
    until(lambda: kube.get("pvc", "data")["metadata"].get("annotations", {}).get("volume.kubernetes.io/selected-node"), 20)
    ec2 = endpoint.client("ec2")
    mine = [{"Name": "tag:kubernetes.io/created-for/pvc/name", "Values": ["data"]}]
    assert not ec2.describe_volumes(Filters=mine)["Volumes"]
    assert kube.get("pvc", "data")["status"]["phase"] == "Pending"

    eks.create_addon(clusterName=shop, addonName="aws-ebs-csi-driver")
    volume = until(lambda: ec2.describe_volumes(Filters=mine)["Volumes"], 20)[0]
    until(lambda: kube.get("pvc", "data")["status"]["phase"] == "Bound", 20)
    node = kube.wait_for("pod", "db", "Ready")["spec"]["nodeName"]
    zone = kube.get("node", node)["metadata"]["labels"]["topology.kubernetes.io/zone"]
    assert (volume["Size"], volume["AvailabilityZone"]) == (4, zone)
    kube.delete("pod", "db")
    kube.delete("pvc", "data")
    until(lambda: not ec2.describe_volumes(Filters=mine)["Volumes"], 20)


def test_the_meter_counts_what_runs(shop, endpoint):
    items = meter.count(endpoint.client)
    kinds = [item.kind for item in items if item.kind.startswith(("control plane", "instance"))]
    assert sorted(kinds) == ["control plane", "instance t3.medium", "instance t3.medium"]
    ours = [item for item in items if item.kind in kinds]
    assert round(meter.hourly(ours), 4) == round(0.10 + 2 * 0.0416, 4)
    assert 0 < meter.so_far(ours) < 1


def test_nothing_is_left_of_a_deleted_cluster(eks, endpoint, site, state):
    before = inventory(endpoint)
    eks.create_cluster(**site.cluster("gone"))
    until(lambda: eks.describe_cluster(name="gone")["cluster"]["status"] == "ACTIVE")
    sizes = {"minSize": 1, "maxSize": 1, "desiredSize": 1}
    eks.create_nodegroup(**site.nodegroup("gone", "one", scalingConfig=sizes))
    group = {"clusterName": "gone", "nodegroupName": "one"}
    until(lambda: eks.describe_nodegroup(**group)["nodegroup"]["status"] == "ACTIVE")
    assert inventory(endpoint) != before
    folder = state / "data" / "eks-lab" / "clusters" / "eks-gone"
    assert folder.is_dir()
    eks.delete_nodegroup(**group)
    until(lambda: not eks.list_nodegroups(clusterName="gone")["nodegroups"])
    eks.delete_cluster(name="gone")
    until(lambda: "gone" not in eks.list_clusters()["clusters"])
    assert inventory(endpoint) == before
    assert not folder.exists()


def inventory(endpoint):
    """What every service lists that a cluster touches."""
    ec2, asg = endpoint.client("ec2"), endpoint.client("autoscaling")
    running = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}]
    instances = ec2.describe_instances(Filters=running)["Reservations"]
    return {
        "instances": {one["InstanceId"] for row in instances for one in row["Instances"]},
        "templates": {one["LaunchTemplateId"] for one in ec2.describe_launch_templates()["LaunchTemplates"]},
        "groups": {one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]},
        "interfaces": {one["NetworkInterfaceId"] for one in ec2.describe_network_interfaces()["NetworkInterfaces"]},
        "volumes": {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]},
        "scaling": {one["AutoScalingGroupName"] for one in asg.describe_auto_scaling_groups()["AutoScalingGroups"]},
        "balancers": {one["LoadBalancerArn"] for one in endpoint.client("elbv2").describe_load_balancers()["LoadBalancers"]},
    }
