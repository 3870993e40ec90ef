"""Every lab's journey, one pytest item a step: the report names lab, exercise, answer, message wanted and message got."""

from __future__ import annotations

import os
import random

import pytest
from journey import Journey, providers, steps, walked

from lab_helpers.settings import LABS
from lab_helpers.teaching import lesson

ROOMS = sorted(path.parent for path in LABS.glob("*/lab.yaml"))
random.Random(os.environ["LAB_SEED"]).shuffle(ROOMS)
# A check reads the API server, the same program on both: where kind runs beside embedded, wrong answers are given once.
WRONG = {provider: provider == providers()[0] for provider in providers()}
WALKS = [(provider, room) for provider in providers() for room in ROOMS if walked(provider, room)]
PLAN = [(provider, room, step) for provider, room in WALKS for step in [*steps(room, WRONG[provider]), None]]


@pytest.fixture(scope="session")
def kernels(tally):
    """One kernel at a time: that of the lab whose steps run. A parametrized fixture would be made anew for every step."""
    running: list[Journey] = []

    def end() -> None:
        journey = running.pop()
        journey.__exit__()
        tally.lab(journey)

    def of(provider, room) -> Journey:
        if running and (running[0].folder, running[0].provider) != (room, provider):
            end()
        if not running:
            running.append(Journey(room, provider).__enter__())
            tally.plan(provider, room.name, len(steps(room, WRONG[provider])))
        return running[0]

    of.end = end
    yield of
    if running:
        end()


@pytest.mark.parametrize(
    ("provider", "room", "step"),
    PLAN,
    ids=[f"{p} · {room.name} · {step.name if step else 'nothing is left, minutes are right'}" for p, room, step in PLAN],
)
def test_step(provider, room, step, kernels, tally):
    journey = kernels(provider, room)
    if step is None:
        left, minutes, said = journey.leftovers(), journey.minutes(), lesson.read(room).minutes
        kernels.end()
        assert left == []
        assert provider != "embedded" or abs(minutes - said) <= 5, f"lab.yaml says {said} minutes, measured were {minutes}"
        tally.left_nothing(provider, room.name)
        return
    wrong = journey.run(step)
    assert not wrong, wrong
    tally.step(provider, room.name, step)
