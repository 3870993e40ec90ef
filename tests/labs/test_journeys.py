"""Every lab's journey, one pytest item a step: the report names lab, exercise, answer, message wanted and message got."""

from __future__ import annotations

import os
import random

import pytest
from journey import Journey, steps

from lab_helpers.settings import LABS

# Labs stand alone, so their order must not matter: each run has another one, and says which.
SEED = os.environ.setdefault("LAB_SEED", str(random.randrange(1000)))
ROOMS = sorted(path.parent for path in LABS.glob("*/lab.yaml"))
random.Random(SEED).shuffle(ROOMS)
PLAN = [(room, step) for room in ROOMS for step in [*steps(room), None]]


@pytest.fixture(scope="session")
def journey(request, tally):
    """A lab's one kernel: pytest keeps all steps of a lab together, because they share this fixture's parameter."""
    with Journey(request.param) as running:
        yield running
    tally.lab(running)


@pytest.mark.parametrize(
    ("journey", "step"),
    PLAN,
    ids=[f"{room.name} · {step.name if step else 'nothing is left'}" for room, step in PLAN],
    indirect=["journey"],
)
def test_step(journey, step, tally):
    if step is None:
        assert journey.leftovers() == []
        return
    wrong = journey.run(step)
    assert not wrong, wrong
    tally.step(journey.folder.name, step)
