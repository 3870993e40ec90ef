"""What the loop does when something is not as it should be. Clock, API server and cloud are stand-ins; the loop is not."""

from __future__ import annotations

import copy

import pytest
from test_autoscaling_decisions import Nodes, node, pod

from lab_helpers.autoscaling import loop, status
from lab_helpers.autoscaling.decisions import TO_BE_DELETED
from lab_helpers.autoscaling.loop import Autoscaler
from lab_helpers.autoscaling.options import Options
from lab_helpers.errors import ClusterError, KubernetesError

START = 1_800_000_000.0
TAINT = {"key": "team", "value": "batch", "effect": "NoSchedule"}
QUICK = Options(scan_interval=10, scale_down_unneeded_time=30, scale_down_delay_after_add=0, node_delete_delay_after_taint=5)


class Clock:
    """The time, and the event by which the loop is told to stop: time passes while it is waited for."""

    def __init__(self, seconds: float = 0) -> None:
        self.now, self.end = START, START + seconds

    time = monotonic = lambda self: self.now

    def sleep(self, seconds):
        self.now += seconds

    wait = sleep

    def is_set(self):
        return self.now >= self.end


class Api:
    """An API server in memory, as far as the loop asks it; away as long as `away()` says so."""

    def __init__(self, *items) -> None:
        self.items, self.away = {}, lambda: False
        for item in items:
            self.put("pods" if "containers" in item["spec"] else "nodes", item)

    def put(self, kind, item):
        self.items[kind, item["metadata"]["name"]] = item
        return item

    def _ask(self):
        if self.away():
            raise KubernetesError("The API server does not answer.", "connection refused")

    def list(self, kind, *_, **__):
        self._ask()
        return [copy.deepcopy(item) for (its, _), item in self.items.items() if its == kind]

    def find(self, kind, name, *_):
        self._ask()
        plural = kind if kind.endswith("s") else f"{kind}s"
        return copy.deepcopy(self.items.get((plural, name)))

    def create(self, item, *_):
        self._ask()
        item["metadata"]["resourceVersion"] = "1"
        return self.put(f"{item['kind'].lower()}s", item)

    def apply(self, item, *_, **__):
        return self.create(item)

    def patch(self, kind, name, patch, *_):
        self._ask()
        self.items[f"{kind}s", name]["spec"] |= patch["spec"]

    def raw(self, method, path, body):
        self._ask()
        if path.endswith("/eviction"):
            del self.items["pods", body["metadata"]["name"]]
        else:
            self.put("leases", body)

    def wait_for(self, kind, name, holds, *_):
        assert holds(self.find(kind, name))

    def events(self, reason):
        return [item["message"] for (kind, _), item in self.items.items() if kind == "events" and item["reason"] == reason]

    def tainted(self):
        nodes = {name: item["spec"].get("taints") or [] for (kind, name), item in self.items.items() if kind == "nodes"}
        return [name for name, taints in nodes.items() if TO_BE_DELETED in [taint["key"] for taint in taints]]


class Cloud(Nodes):
    """A group of a cloud that does what it is asked, or is away."""

    asked: list
    api: Api
    away = staticmethod(lambda: False)

    def holds(self, item):
        return item["metadata"]["name"].startswith(f"{self.name}-")

    def set_desired(self, size):
        self._ask("SetDesiredCapacity")
        self.asked.append(size)
        self.size = size

    def delete(self, item):
        self._ask("TerminateInstance")
        self.asked.append(item["metadata"]["name"])
        self.size -= 1
        del self.api.items["nodes", item["metadata"]["name"]]

    def _ask(self, what):
        if self.away():
            raise ClusterError(f"AWS did not answer {what}.", "endpoint is gone")


def cloud(api, name="g", **fields):
    made = Cloud(name, **fields)
    made.asked, made.api = [], api
    return made


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for module in (loop, status):
        monkeypatch.setattr(module, "time", made)
    return made


def run(clock, api, groups, seconds, options=QUICK):
    """The loop for so many seconds; its log."""
    lines = []
    clock.end = clock.now + seconds
    Autoscaler(api, groups, options, lines.append).run(clock)
    return lines


def waiting(name="p", **more):
    """A Pod that waits, born before the clock's first second."""
    made = pod(name, **more)
    made["metadata"] |= {"uid": name}
    return made


def here(name, *pods, **more):
    """A node of a group with Pods on it."""
    made = node(name, **more)
    made["metadata"]["uid"] = name
    found = [pod(one, cpu="100m", memory="100Mi", node=name) for one in pods]
    for one in found:
        one["metadata"]["uid"] = one["metadata"]["name"]
    return [made, *found]


def test_a_pod_that_is_larger_than_every_instance_is_told_each_groups_reason(clock):
    api = Api(waiting("huge", cpu="64", memory="900Gi"))
    groups = [
        cloud(api, "small", size=0, template=node(cpu="2", memory="8Gi")),
        cloud(api, "large", size=0, template=node(cpu="96", memory="384Gi")),
        cloud(api, "batch", size=0, template=node(cpu="96", memory="1Ti", taints=[TAINT])),
        cloud(api, "cordoned", size=0, template=node(cpu="96", memory="1Ti", unschedulable=True)),
        cloud(api, "full", size=0, maximum=0, template=node(cpu="96", memory="1Ti")),
    ]
    run(clock, api, lambda: groups, 100)
    said = (
        "pod didn't trigger scale-up: 1 Insufficient cpu, 2 Insufficient memory, 1 max node group size reached, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable"
    )
    assert api.events("NotTriggerScaleUp") == [said], "each group is in it, and it is said once, not at every scan"
    assert not any(group.asked for group in groups)


def test_at_its_largest_size_a_group_grows_no_more_and_the_others_are_told(clock):
    api = Api(*(waiting(f"p{number}", cpu="3") for number in range(5)))
    group = cloud(api, size=0, maximum=2, template=node(cpu="4"))
    run(clock, api, lambda: [group], 60)
    assert group.asked == [2]
    assert len(api.events("TriggeredScaleUp")) == 2
    assert api.events("NotTriggerScaleUp") == ["pod didn't trigger scale-up: 1 max node group size reached"] * 3


def test_an_account_that_is_gone_for_a_minute_costs_nothing_but_the_minute(clock):
    """Nothing is bought, nothing given back meanwhile; afterwards what is needed then, once."""
    api = Api(*here("g-1", "a"))
    group = cloud(api, template=node())

    def groups():
        if START + 20 <= clock.now < START + 80:
            raise ClusterError("AWS did not answer DescribeAutoScalingGroups.", "endpoint is gone")
        if clock.now >= START + 80 and not group.asked:
            api.put("pods", waiting(cpu="4"))
        return [group]

    lines = run(clock, api, groups, 130, Options(scan_interval=10, scale_down_unneeded_time=1000))
    failed = [line for line in lines if line.startswith("this scan failed: AWS did not answer")]
    assert len(failed) == 6, "each scan of that minute says so, and is tried again"
    assert group.asked == [2] and lines[-1] == "1 Pods need 1 nodes of g: 1 → 2"
    assert not api.tainted() and not api.events("ScaleDown")


def test_an_api_server_that_is_gone_for_a_minute_is_waited_for(clock):
    api = Api(*here("g-1", "a"), waiting(cpu="4"))
    api.away = lambda: START <= clock.now < START + 60
    group = cloud(api, template=node())
    lines = run(clock, api, lambda: [group], 100)
    assert sum("does not answer" in line for line in lines) == 6
    assert group.asked == [2]


def test_it_ends_in_order_though_the_api_server_is_gone(clock):
    api = Api()
    api.away = lambda: clock.now >= START + 15
    lines = run(clock, api, list, 30)
    assert "connection refused" in lines[-1]


def test_an_account_that_goes_in_the_middle_of_a_drain_leaves_no_taint(clock):
    """The instance cannot be given back: the node is kept and says so; when the account is there again, it goes."""
    api = Api(*here("g-1", "a"), *here("g-2", "b"))
    group = cloud(api, size=2, template=node())
    group.away = lambda: clock.now < START + 60
    first = run(clock, api, lambda: [group], 45)
    assert any("is kept: AWS did not answer TerminateInstance" in line for line in first), first
    assert api.tainted() == [] and group.size == 2 and group.asked == []
    assert "failed to remove the node" in api.events("ScaleDownFailed")[0]
    run(clock, api, lambda: [group], 300)
    assert len(group.asked) == 1 and api.tainted() == []


def test_an_api_server_that_goes_in_the_middle_of_a_drain_finds_no_taint_when_it_is_back(clock, monkeypatch):
    """It is away when the taint should be taken back, so that has to be done later."""
    api = Api(*here("g-1", "a"), *here("g-2", "b"))
    group = cloud(api, size=2, template=node())
    gone = []

    def raw(method, path, body, real=api.raw):
        if path.endswith("/eviction") and not gone:
            gone.append(clock.now)
        real(method, path, body)

    monkeypatch.setattr(api, "raw", raw)
    api.away = lambda: bool(gone) and clock.now < gone[0] + 60
    lines = run(clock, api, lambda: [group], 110)
    assert gone and any("this scan failed" in line for line in lines)
    assert any("taint of an earlier run taken away" in line for line in lines), lines
    assert api.tainted() == [] and group.size == 2


def test_a_second_autoscaler_waits_and_takes_over(clock):
    """Started twice: one acts, the other says why it does not; when the first has let go, it acts."""
    api = Api(*here("g-1", "a"), waiting(cpu="4"))
    group = cloud(api, template=node())
    first = status.Lease(api)
    assert first.hold()

    def pass_time(seconds):
        clock.now += seconds
        if clock.now < START + 30:
            assert first.hold(), "it renews"
        elif clock.now == START + 30:
            first.release()

    clock.wait = pass_time
    lines = run(clock, api, lambda: [group], 60)
    assert sum("another autoscaler is at work" in line for line in lines) == 3
    assert group.asked == [2]
