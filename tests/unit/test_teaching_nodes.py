"""What is read out of a node: durations, iptables, conntrack, a command's end."""

from __future__ import annotations

import pytest

from lab_helpers.clusters.provider import flags
from lab_helpers.errors import ClusterError
from lab_helpers.teaching import nodes

SAVED = """
*filter
-A KUBE-SERVICES -d 10.96.9.9/32 -p tcp -m comment --comment "default/orders has no endpoints" -m tcp --dport 80 -j REJECT
*nat
-A KUBE-SEP-ONE -s 10.244.1.2/32 -m comment --comment "default/web" -j KUBE-MARK-MASQ
-A KUBE-SEP-ONE -p tcp -m comment --comment "default/web" -m tcp -j DNAT --to-destination 10.244.1.2:8080
-A KUBE-SEP-TWO -p tcp -m comment --comment "default/web" -m tcp -j DNAT --to-destination 10.244.2.2:8080
-A KUBE-SEP-X -p tcp -m comment --comment "default/web-admin" -m tcp -j DNAT --to-destination 10.244.2.9:8080
-A KUBE-SERVICES -d 10.96.1.1/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-W
-A KUBE-SERVICES -d 10.96.2.2/32 -p tcp -m comment --comment "default/web-admin cluster IP" -m tcp --dport 80 -j KUBE-SVC-WA
-A KUBE-SERVICES -d 10.96.3.3/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-WA
-A KUBE-SVC-W ! -s 10.244.0.0/16 -d 10.96.1.1/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-W -m comment --comment "a" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-ONE
-A KUBE-SVC-W -m comment --comment "b" -j KUBE-SEP-TWO
-A KUBE-SVC-WA -m comment --comment "c" -j KUBE-SEP-X
"""

REMEMBERED = """
tcp 6 118 TIME_WAIT src=10.244.1.5 dst=10.96.1.1 sport=40001 dport=80 src=10.244.1.2 dst=10.244.1.5 sport=8080 dport=40001 use=1
tcp 6 119 TIME_WAIT src=10.244.1.5 dst=10.96.1.1 sport=40002 dport=80 src=10.244.2.2 dst=10.244.1.5 sport=8080 dport=40002 use=1
tcp 6 110 TIME_WAIT src=10.244.1.5 dst=10.96.1.1 sport=40003 dport=80 src=10.244.2.2 dst=10.244.1.5 sport=8080 dport=40003 use=1
udp 17 20 src=10.244.1.5 dst=10.96.0.10 sport=40002 dport=53 src=10.244.0.2 dst=10.244.1.5 sport=53 dport=40002 use=1
"""


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("1m30s", 90), ("500ms", 0.5), ("5m0s", 300), ("1h", 3600)])
def test_durations(text, seconds):
    assert nodes.duration(text) == seconds


def test_rules_of_a_service():
    assert nodes.rules(SAVED, "default/web") == {"10.96.1.1:80": {"10.244.1.2:8080": 0.333, "10.244.2.2:8080": 0.667}}
    assert nodes.rules(SAVED, "shop/web") == {"10.96.3.3:80": {"10.244.2.9:8080": 1.0}}, "a port with a name"
    assert nodes.rules(SAVED, "default/orders") == {"10.96.9.9:80": {}}
    assert nodes.rules(SAVED, "default/none") == {}


def test_the_newest_connection_to_an_endpoint():
    assert nodes._port(REMEMBERED, "10.96.1.1:80", "10.244.2.2:8080") == "40002"
    assert nodes._port(REMEMBERED, "10.96.1.1:80", "10.244.1.2:8080") == "40001"
    assert nodes._port(REMEMBERED, "10.96.1.1:80", "10.244.9.9:8080") == "?"


def test_arguments_of_a_command_line():
    words = ["kube-scheduler", "--v=10", "--leader-elect=false", "--flag", "--a=b=c", "-x"]
    assert flags(words) == {"v": "10", "leader-elect": "false", "flag": "true", "a": "b=c"}


def test_a_command_on_a_node():
    assert nodes.run(("env",), "node-1", ("echo", "hello")) == "hello\n"
    with pytest.raises(ClusterError) as error:
        nodes.run(("env",), "node-1", ("sh", "-c", "echo the disk is full >&2; exit 3"))
    assert "On node-1, sh failed" in str(error.value.text()) and "the disk is full" in error.value.text()
