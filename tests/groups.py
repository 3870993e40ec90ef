"""With several workers (`pytest -n 2`): what runs in one of them, in order.

A scheduler of our own, because pytest-xdist 3.8's `--dist loadgroup` does not see its marks under pytest 9.2: it adds them to
a node id that pytest makes anew each time it is asked.
"""

from __future__ import annotations

import re

import pytest
import yaml

from lab_helpers.settings import LABS

ENGINE = ("tests/clusters/test_kind.py", "tests/clusters/test_nodeimage.py")
"""Files that compare all that an engine holds, before and after: nothing else may use it meanwhile."""


def group(nodeid: str) -> str:
    """A file; of the journeys and notebooks, a lab; all that uses the engine."""
    place, _, test = nodeid.partition("::")
    if place in ENGINE or "[kind " in test:
        return "engine"
    lab = re.search(r"\b\d\d-[a-z0-9-]+", test) if place.startswith("tests/labs/") else None
    return f"{place} {lab[0]}" if lab else place


def minutes(name: str) -> int:
    """How long a group may take: the engine's longest of all, a lab's as it says itself, other files' less."""
    lab = LABS / name.rpartition(" ")[2] / "lab.yaml"
    return 1000 if name == "engine" else yaml.safe_load(lab.read_text())["minutes"] if " " in name else 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):  # one worker of several
        weights = {name: minutes(name) for name in {group(item.nodeid) for item in items}}
        items.sort(key=lambda item: -weights[group(item.nodeid)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False  # by the number of tests; long groups go first instead, or one worker ends late

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Grouped(config, log)
