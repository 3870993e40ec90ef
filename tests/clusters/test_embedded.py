"""What a cluster of the embedded provider is: addresses, nodes, certificates, audit log."""

from __future__ import annotations

import json
import subprocess

from clusters_kit import ALL, listening, pod_runs

from lab_helpers import processes
from lab_helpers.clusters import NodeShape
from lab_helpers.kube import Kube, ready


def test_a_created_cluster_runs_a_pod_at_once(shared):
    maker, cluster, _ = shared
    assert maker.health(cluster) == dict.fromkeys(ALL, "running")
    pod_runs(cluster, "first")


def test_every_listener_is_on_the_loopback_interface(shared):
    _, cluster, _ = shared
    pids = {process.pid for process in processes.recorded(cluster.folder).values()}
    found = listening(pids)
    assert len(found) >= 6
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1"}


def test_no_admin_of_another_name_gets_in(shared):
    _, cluster, _ = shared
    kube = Kube(cluster.kubeconfig)
    host, pool, _ = kube._connection
    server = pool.request("GET", host + "/api/v1/nodes", headers={"Authorization": "Bearer nobody"}, retries=False)
    assert server.status in (200, 401)  # the client certificate decides; a token alone is refused below
    anonymous = subprocess.run(
        ["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"{host}/api/v1/nodes"], capture_output=True, text=True
    )
    assert anonymous.stdout in ("401", "403")


def test_nodes_have_the_shape_that_was_asked_for(shared):
    maker, cluster, kube = shared
    shape = NodeShape("big", "16", "64Gi", 29, "b", {"team": "shop"}, ("dedicated=lab:NoSchedule",))
    maker.add_node(cluster, shape)
    node = kube.get("node", "big")
    assert node["status"]["allocatable"] == {"cpu": "16", "memory": "64Gi", "pods": "29"}
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "b"
    assert node["metadata"]["labels"]["team"] == "shop"
    assert node["spec"]["taints"] == [{"key": "dedicated", "value": "lab", "effect": "NoSchedule"}]
    maker.remove_node(cluster, "big")
    assert kube.find("node", "big") is None


def test_pods_and_services_get_addresses_from_ranges_that_do_not_overlap(shared):
    _, cluster, kube = shared
    pod_runs(cluster, "addressed")
    assert kube.get("pod", "addressed")["status"]["podIP"].startswith(("10.128.", "10.129."))
    assert kube.get("service", "kubernetes")["spec"]["clusterIP"].startswith("10.96.")


def test_the_audit_log_names_who_did_what(shared):
    maker, cluster, kube = shared
    kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen-by-audit"}})

    def logged() -> bool:
        events = [json.loads(line) for line in maker.log(cluster, "audit").read_text().splitlines()]
        return any(event["verb"] == "create" and event.get("objectRef", {}).get("name") == "seen-by-audit" for event in events)

    processes.wait_until(logged, deadline=10, what="the audit event")


def test_certificate_requests_are_signed(shared):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    _, _, kube = shared
    import base64

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ana")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    body = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    kube.create(
        {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": "ana"},
            "spec": {"request": body, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]},
        }
    )
    approved = kube.get("csr", "ana")
    approved["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": "test"}]}
    kube.raw("PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/ana/approval", approved)
    kube.wait_for("csr", "ana", lambda item: item and item["status"].get("certificate"), deadline=20)


def test_a_failed_node_and_its_pods_turn_not_ready_and_recover(shared):
    maker, cluster, kube = shared
    there = {"nodeName": "node-3", "containers": [{"name": "app", "image": "app"}]}
    kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "there"}, "spec": there})
    kube.wait_for("pod", "there", "Ready", deadline=60)
    maker.fail_node(cluster, "node-3")

    def lost(node) -> bool:
        conditions = {c["type"]: c for c in node["status"]["conditions"]}
        return conditions["Ready"]["status"] == "Unknown"

    kube.wait_for("node", "node-3", lost, deadline=90)
    kube.wait_for("pod", "there", lambda pod: not ready(pod), deadline=30, what="not Ready: nobody hears of it")
    maker.recover_node(cluster, "node-3")
    assert ready(kube.get("node", "node-3"))
    kube.wait_for("pod", "there", "Ready", deadline=60)
