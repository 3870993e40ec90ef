"""Every lab's journey, one pytest item a step: the report names lab, exercise, answer, message wanted and message got."""

from __future__ import annotations

import pytest
from journey import Journey, steps

from lab_helpers.settings import LABS

ROOMS = sorted(path.parent for path in LABS.glob("*/lab.yaml"))
PLAN = [(room, step) for room in ROOMS for step in steps(room)]


@pytest.fixture(scope="module")
def journey(request, tally):
    """The lab's one kernel; pytest keeps the steps of a lab together."""
    with Journey(request.param) as running:
        yield running
    tally.lab(running)


@pytest.mark.parametrize(
    ("journey", "step"), PLAN, ids=[f"{room.name} · {step.name}" for room, step in PLAN], indirect=["journey"]
)
def test_step(journey, step, tally):
    wrong = journey.run(step)
    assert not wrong, wrong
    tally.step(journey.folder.name, step)


@pytest.mark.parametrize("journey", ROOMS, ids=[room.name for room in ROOMS], indirect=True)
def test_nothing_is_left(journey):
    assert journey.leftovers() == []
