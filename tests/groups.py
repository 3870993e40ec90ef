"""With several workers (`pytest -n 2`): what runs in one of them, in order.

A scheduler of our own, because pytest-xdist 3.8's `--dist loadgroup` does not see its marks under pytest 9.2: it adds them to
a node id that pytest makes anew each time it is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import zip_longest

import pytest
import yaml

from lab_helpers.settings import LABS

FIRST = ("tests/clusters/test_nodeimage.py", "tests/clusters/test_kind.py")
"""Files that use the engine alone, and so before others begin; or that take longest."""


def group(nodeid: str) -> str:
    """A file; of the journeys and notebooks, a lab, on one provider."""
    place, _, test = nodeid.partition("::")
    lab = re.search(r"\b\d\d-[a-z0-9-]+", test) if place.startswith("tests/labs/") else None
    kind = " kind" if "[kind " in test else ""
    return f"{place}{kind} {lab[0]}" if lab else place


def order(sizes: dict[str, int]) -> list[str]:
    """In which order groups start: what uses the engine alone, labs, other files; the longest first, or one worker ends late.

    What is played with AWS keeps the processor busy, everything else waits most of the time: so they take turns.
    """
    rooms = {name: yaml.safe_load((LABS / name.split()[-1] / "lab.yaml").read_text()) for name in sizes if " " in name}
    busy, calm = list[str](), list[str]()
    for name in sorted(sizes, key=lambda name: (name not in rooms, -rooms.get(name, {}).get("minutes", sizes[name]), name)):
        if name not in FIRST:
            (busy if rooms.get(name, {}).get("aws") or name.startswith("tests/eks") else calm).append(name)
    return [*(name for name in FIRST if name in sizes), *(name for pair in zip_longest(busy, calm) for name in pair if name)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):  # one worker of several
        place = {name: number for number, name in enumerate(order(Counter(group(item.nodeid) for item in items)))}
        items.sort(key=lambda item: place[group(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # the items are in order

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Grouped(config, log)
