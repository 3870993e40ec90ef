"""Large answers are parsed without the garbage collector, small ones with it, and it goes on afterwards."""

from __future__ import annotations

import gc
import json

import pytest

from lab_helpers.kube.answers import LARGE, parsed

ITEM = {"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "a"}]}}


@pytest.fixture
def collections():
    """The generations that were collected."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def text(items: int) -> str:
    return json.dumps({"items": [ITEM] * items})


def test_a_large_answer_is_parsed_without_a_collection_and_is_old_at_once(collections):
    large = text(LARGE // 60)
    assert len(large) > LARGE
    del collections[:]
    answer = parsed(large)
    during, young = list(collections), gc.get_count()[0]
    assert during == [] and gc.isenabled()
    assert young < 1000, "the next collection does not look through it"
    assert answer == json.loads(large)


def test_a_small_answer_leaves_the_collector_alone():
    frozen = gc.get_freeze_count()
    assert parsed(text(3)) == {"items": [ITEM] * 3}
    assert gc.isenabled() and gc.get_freeze_count() == frozen


def test_no_json_is_said_and_the_collector_goes_on():
    with pytest.raises(ValueError):
        parsed("<" * (LARGE + 1))
    assert gc.isenabled()


def test_who_has_switched_the_collector_off_keeps_it_off():
    gc.disable()
    try:
        parsed(text(LARGE // 60))
        assert not gc.isenabled()
    finally:
        gc.enable()
