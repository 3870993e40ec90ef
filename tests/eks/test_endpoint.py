"""The local AWS as programs meet it: who is answered, who is refused, what is written down, what is kept."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import stat
import subprocess

import pytest
from botocore.exceptions import ClientError
from eks_kit import until

from lab_helpers import processes
from lab_helpers.eks import calls, prices, service


def test_programs_reach_it_under_awss_own_names(aws):
    assert json.loads(aws.run("aws", "sts", "get-caller-identity"))["Arn"].endswith(":user/lab-admin")
    assert "172.31.0.0/16" in aws.run("aws", "ec2", "describe-vpcs")


def test_every_call_is_written_down_with_cloudtrails_names(aws):
    aws.client("ec2").describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])
    event = calls.read(aws.endpoint.folder)[-1]
    assert (event["eventSource"], event["eventName"], event["readOnly"]) == ("ec2.amazonaws.com", "DescribeVpcs", True)
    assert event["userIdentity"]["userName"] == "lab-admin" and event["userIdentity"]["type"] == "IAMUser"
    assert event["requestParameters"]["filters"] == [{"name": "isDefault", "values": ["true"]}]
    assert event["errorCode"] is None and event["additionalEventData"]["httpStatus"] == 200
    assert calls.who(event) == "lab-admin" and calls.program(event) == "boto3"


def test_what_is_not_there_says_so_at_once_in_the_services_own_format(aws):
    for name, call in {
        "ec2": "describe_ipam_pools",
        "glacier": "list_provisioned_capacity",
        "sqs": "list_message_move_tasks",
    }.items():
        client = aws.client(name)
        arguments = {"SourceArn": "arn:aws:sqs:us-east-1:123456789012:q"} if name == "sqs" else {}
        with pytest.raises(ClientError) as caught:
            getattr(client, call)(**arguments)
        assert caught.value.response["Error"]["Code"] in ("UnsupportedOperation", "ResourceNotFoundException"), name


def test_the_price_list_answers_as_karpenter_asks_it(aws):
    def asked(tenancy, kind=""):
        wanted = {"regionCode": "us-east-1", "tenancy": tenancy, **({"instanceType": kind} if kind else {})}
        filters = [{"Type": "TERM_MATCH", "Field": key, "Value": value} for key, value in wanted.items()]
        pages = aws.client("pricing").get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
        rows = [json.loads(row) for page in pages for row in page["PriceList"]]
        return {row["product"]["attributes"]["instanceType"]: row["terms"]["OnDemand"] for row in rows}

    shared, bare = asked("Shared"), asked("Dedicated")
    assert set(shared) | set(bare) == set(prices.table()["instances"]) and set(bare) == {"m5.metal"}
    ((term,),) = [row["priceDimensions"].values() for row in asked("Shared", "c6a.4xlarge")["c6a.4xlarge"].values()]
    assert float(term["pricePerUnit"]["USD"]) == 0.612
    assert calls.read(aws.endpoint.folder)[-1]["eventName"] == "GetProducts"


def test_a_wrong_secret_and_an_unknown_key_are_refused(aws):
    key = json.loads((aws.endpoint.folder / "wanted.json").read_text())["key"]
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        aws.client("sts", (key, "x" * 40)).get_caller_identity()
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        aws.client("sts", ("AKIAUNKNOWNUNKNOWN00", "x" * 40)).get_caller_identity()
    with pytest.raises(ClientError, match="AuthFailure"):
        aws.client("ec2", ("AKIAUNKNOWNUNKNOWN00", "x" * 40)).describe_vpcs()
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        aws.client("eks", ("AKIAUNKNOWNUNKNOWN00", "x" * 40)).list_clusters()


def test_a_secret_is_in_no_log(aws):
    made = aws.client("iam").create_user(UserName="logged")
    secret = aws.client("iam").create_access_key(UserName="logged")["AccessKey"]["SecretAccessKey"]
    aws.client("iam").create_login_profile(UserName="logged", Password="pass-word-of-logged")
    assert made["User"]["UserName"] == "logged"
    for path in aws.endpoint.folder.rglob("*"):
        if path.is_file() and path.suffix in (".jsonl", ".log"):
            assert secret not in path.read_text() and "pass-word-of-logged" not in path.read_text(), path


def _connect(aws, first: bytes) -> str:
    with socket.create_connection(("127.0.0.1", aws.endpoint.port), timeout=10) as link:
        link.sendall(first)
        return link.recv(200).decode()


def test_the_proxy_leads_nowhere_else_and_knows_its_user(aws):
    assert " 403 " in _connect(aws, b"CONNECT example.com:443 HTTP/1.1\r\n\r\n")
    assert " 403 " in _connect(aws, b"CONNECT amazonaws.com.example.com:443 HTTP/1.1\r\n\r\n")
    assert " 403 " in _connect(aws, b"GET http://eks.us-east-1.amazonaws.com/ HTTP/1.1\r\n\r\n")
    assert " 407 " in _connect(aws, b"CONNECT eks.us-east-1.amazonaws.com:443 HTTP/1.1\r\n\r\n")


def test_browsers_are_refused(aws):
    env = aws.env()
    words = ["curl", "-sS", "--cacert", env["AWS_CA_BUNDLE"], "-w", "%{http_code}", "-o", os.devnull]
    for header in ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Host: evil.example"):
        done = subprocess.run(
            [*words, "-H", header, "https://eks.us-east-1.amazonaws.com/clusters"], env=env, capture_output=True
        )
        assert done.stdout == b"403", header


def test_motos_own_door_is_closed(aws):
    env = aws.env()
    url = "https://eks.us-east-1.amazonaws.com/moto-api/reset"
    said = subprocess.run(
        ["curl", "-sS", "--cacert", env["AWS_CA_BUNDLE"], "-X", "POST", url], env=env, capture_output=True, text=True
    )
    assert "MissingAuthenticationToken" in said.stdout


def test_the_authority_speaks_for_aws_alone(aws, tmp_path):
    """A certificate that it signs for another name is refused by whoever trusts it."""
    from lab_helpers.eks.certificates import Authority

    authority = Authority(aws.endpoint.folder)
    for host, fine in (("eks.us-east-1.amazonaws.com", True), ("eks-auth.us-east-1.api.aws", True), ("www.example.com", False)):
        client, server = ssl.create_default_context(cafile=authority.certificate_file), authority.context(host)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        ours, theirs = (
            client.wrap_bio(incoming, outgoing, server_hostname=host),
            server.wrap_bio(outgoing, incoming, server_side=True),
        )
        refused = ""
        for _ in range(6):
            for side in (ours, theirs):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLCertVerificationError as error:
                    refused = str(error)
                except ssl.SSLError:
                    pass
        assert bool(refused) != fine, (host, refused)


def test_it_listens_on_loopback_alone(aws):
    import psutil

    listening = [link for link in psutil.Process(aws.endpoint.pid).net_connections() if link.status == psutil.CONN_LISTEN]
    assert listening and {link.laddr.ip for link in listening} == {"127.0.0.1"}


def test_what_it_keeps_is_private(aws):
    aws.client("ec2").create_key_pair(KeyName="kept")
    folder = aws.endpoint.folder
    until((folder / "state").exists)
    for name in ("state", "state.key", "wanted.json", "ca.pem", "credentials", "calls.jsonl", "http.sock"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_killed_it_comes_back_with_what_the_account_held_under_the_same_address(aws):
    before = aws.endpoint
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    state = before.folder / "state"
    until(lambda: vpc.encode() in state.read_bytes())
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: service.running(aws.settings) is None)
    after = aws.endpoint
    assert after.pid != before.pid and (after.port, after.password) == (before.port, before.password)
    assert aws.client("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"] == "10.77.0.0/16"


def test_ended_it_has_saved_even_the_last_change(aws):
    vpc = aws.client("ec2").create_vpc(CidrBlock="10.78.0.0/16")["Vpc"]["VpcId"]
    service.stop(aws.settings)
    assert aws.client("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"]


def test_a_second_kernel_adopts_it(aws):
    script = "from lab_helpers import settings; from lab_helpers.eks import service; print(service.ensure(settings.load()).pid)"
    import sys

    pids = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {int(one.communicate()[0]) for one in pids} == {aws.endpoint.pid}


def test_another_program_on_its_port_makes_it_take_another(aws):
    port = aws.endpoint.port
    service.stop(aws.settings)
    taken: list[socket.socket] = []

    def take() -> bool:
        with contextlib.suppress(OSError):  # a thread of the ended process may hold it for a moment
            taken.append(socket.create_server(("127.0.0.1", port)))
        return bool(taken)

    until(take)
    with taken[0]:
        assert aws.endpoint.port != port
        assert "lab-admin" in aws.run("aws", "sts", "get-caller-identity")


@pytest.mark.parametrize("damage", ["cut", "version", "foreign"])
def test_a_state_that_cannot_be_read_is_set_aside_and_said(aws, damage):
    aws.client("ec2").create_key_pair(KeyName=f"lost-{damage}")
    service.stop(aws.settings)
    state = aws.endpoint.folder / "state"
    service.stop(aws.settings)
    head, _, content = state.read_bytes().partition(b"\n")
    changed = {
        "cut": head + b"\n" + content[:-100],
        "version": b"1:0.0.1 " + head.split()[1] + b"\n" + content,
        "foreign": b"hello",
    }
    state.write_bytes(changed[damage])
    said: list[str] = []
    service.ensure(aws.settings, said.append)
    assert any("set aside" in line for line in said)
    assert list(aws.endpoint.folder.glob("state.unreadable-*"))
    assert "lab-admin" in aws.run("aws", "sts", "get-caller-identity"), "a new account, with the same administrator"


def test_cleaned_nothing_is_left(aws):
    pid, folder = aws.endpoint.pid, aws.endpoint.folder
    process = processes.recorded(folder)["aws"]
    assert service.clean(aws.settings) and not folder.exists() and not processes.alive(process)
    assert process.pid == pid
    assert not service.clean(aws.settings), "twice does no harm"
