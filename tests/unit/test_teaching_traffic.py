"""Requests in the background, against the course's own web program behind a proxy that forgets names."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from lab_helpers.clusters.images import IMAGES
from lab_helpers.errors import LabError
from lab_helpers.processes import wait_until
from lab_helpers.teaching import autoscaling, traffic


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def web():
    """The program of lab.local/web:1.1, on a port of its own."""
    port = free_port()
    env = {"PORT": str(port), "VERSION": "1.1", "HOSTNAME": "web-1", "NODE_NAME": "node-1", "LAB_NAMESPACE": "shop"}
    env["LAB_PORTS"] = f'{{"{port}": {port}}}'
    process = subprocess.Popen([sys.executable, IMAGES["lab.local/web:1.1"].file], env=env, stdout=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).status == 200
        except OSError:
            return False

    wait_until(answers, deadline=20, what="web answers")
    yield port
    process.terminate()
    process.wait(20)


class Way(BaseHTTPRequestHandler):
    """A proxy for three names: web.shop, nobody.shop (503) and cut.shop (hangs up)."""

    port = 0

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.hostname == "cut.shop":
            self.close_connection = True
            return
        if url.hostname != "web.shop":
            self.send_error(503 if url.hostname == "nobody.shop" else 502)
            return
        with socket.create_connection(("127.0.0.1", self.port)) as there:
            path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
            there.sendall(f"GET {path} HTTP/1.0\r\nHost: web.shop\r\n\r\n".encode())
            while data := there.recv(65536):
                self.wfile.write(data)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def way(web, monkeypatch):
    handler = type("Here", (Way,), {"port": web})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("http_proxy", f"http://default:token@127.0.0.1:{server.server_address[1]}")
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_answer_says_who_gave_it(way):
    answer = traffic.ask("http://web.shop")
    assert (answer.status, answer.lost) == (200, "")
    assert answer.said == {"pod": "web-1", "node": "node-1", "namespace": "shop", "version": "1.1"}


@pytest.mark.parametrize(
    ("url", "lost"),
    [
        ("http://nobody.shop", "refused"),
        ("http://other.shop", "refused"),
        ("http://web.shop/nothing-here", "status 404"),
        ("http://web.shop/slow?ms=1000", "no answer in 0.3 s"),
        ("http://cut.shop", "cut off"),
    ],
)
def test_what_is_lost_says_why(way, url, lost):
    assert traffic.ask(url, timeout=0.3).lost == lost


def test_so_many_requests_are_so_many(way):
    sent = traffic.Traffic("http://web.shop", rate=0, count=100).wait()
    assert len(sent.answers) == 100 and not sent.lost
    assert sent.counts() == {"web-1": 100} and sent.counts("version") == {"1.1": 100}
    assert repr(sent) == "100 requests to http://web.shop, 0 lost, over"


def test_traffic_keeps_its_rate_while_something_else_happens(way):
    began = time.monotonic()
    calls = traffic.Traffic("http://web.shop/slow?ms=200", rate=40)
    wait_until(lambda: len(calls.answers) >= 40, deadline=20, what="forty answers")
    calls.stop()
    spent = time.monotonic() - began
    sent = len(calls.answers)
    assert sent <= 40 * spent + 1, "more than its rate"
    assert sent / spent > 10, "slow answers must not hold up the next requests"
    assert len(calls.answers) == sent, "nothing is sent after stop"
    assert calls.ended and calls.answers == sorted(calls.answers, key=lambda answer: answer.at)


def test_nothing_in_flight_is_given_up(way):
    calls = traffic.Traffic("http://web.shop/slow?ms=400", rate=50)
    wait_until(lambda: time.time() - calls.began > 0.2, deadline=5, what="some are in flight")
    calls.stop()
    assert calls.answers and not calls.lost


def test_pictures_carry_the_marks(way, capsys):
    calls = traffic.Traffic("http://web.shop", rate=0, count=20, marks=lambda: [(calls.ended, "a mark")])
    calls.wait()
    calls.over_time(title="Twenty")
    calls.spread(among=["web-2"])
    said = capsys.readouterr().out
    assert "Twenty: 20 requests" in said and "a mark" in said
    assert "web-2: 0." in said


def test_without_a_way_in_it_says_so(monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    with pytest.raises(LabError, match="no way for requests"):
        traffic.ask("http://web.shop")


HPA = {
    "spec": {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "metrics": [{"resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
    },
    "status": {"currentMetrics": [{"resource": {"name": "cpu", "current": {"averageUtilization": 81}}}]},
}


def test_one_look_at_an_autoscaler():
    workload = {"spec": {"replicas": 5}, "status": {"readyReplicas": 3}}
    seen = autoscaling.sample(HPA, workload, 16.0)
    assert (seen.rate, seen.use, seen.wanted, seen.ready) == (16.0, 81, 5, 3)
    assert autoscaling.target(HPA) == 50


def test_an_autoscaler_that_knows_nothing_yet():
    seen = autoscaling.sample({"spec": {}, "status": {"currentMetrics": None}}, {"spec": {"replicas": 3}, "status": {}}, 0.0)
    assert (seen.use, seen.wanted, seen.ready) == (None, 3, 0)
    assert autoscaling.target({"spec": {}}) == 80, "Kubernetes' own default"
