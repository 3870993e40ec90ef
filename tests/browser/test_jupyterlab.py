"""What the learner sees, in JupyterLab in a real browser: the picture, a failed check, a passed one, keys in a question."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import page as pages

from lab_helpers.settings import LABS
from lab_helpers.teaching import lesson

SHOTS = Path(os.environ["LAB_SHOTS"]) if os.environ.get("LAB_SHOTS") else None
NEEDS_BROWSER = pytest.mark.skipif(not pages.CHROMIUM and not os.environ.get("LAB_CI"), reason="no chromium on this machine")


def shot(page, name: str, tmp_path: Path) -> Path:
    target = (SHOTS or tmp_path) / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    pages.whole(page, target)
    assert target.stat().st_size > 50_000, "an empty page"
    return target


@NEEDS_BROWSER
def test_lab_03_from_first_cell_to_last(tmp_path):
    name = "03-control-plane"
    exercise = lesson.read(LABS / name).exercises["bind-by-hand"]
    with pages.served(LABS, name, {}) as address, pages.browser() as page:
        pages.open_notebook(page, address)
        pages.kernel_is_there(page)
        # Everything but the closing cell, so that the lab is still open for the exercise.
        close = pages.cell(page, "lab.close()")
        pages.replace_and_run(page, close, "print('the end')")
        pages.run_all(page, 400)
        assert page.get_by_text("the end").count() >= 1, "Run All went on to the last cell"
        assert page.locator(".jp-OutputArea svg[role=img]").count() >= 3
        for picture in page.locator(".jp-OutputArea svg[role=img]").all():
            assert len(picture.get_attribute("aria-label")) > 20
        check = pages.cell(page, 'check("bind-by-hand")')
        failed = check.locator("[role=alert]")
        assert failed.count() == 1, "one panel, not two"
        assert "Next" in failed.inner_text()
        assert check.get_by_text("Traceback").count() == 0
        shot(page, "lab-03", tmp_path)
        page.set_viewport_size({"width": 1280, "height": 1000})

        scene, answer = pages.cell(page, 'scene("bind-by-hand")'), page.locator(".jp-CodeCell")
        index = next(number for number, found in enumerate(answer.all()) if 'check("bind-by-hand")' in found.inner_text()) - 1
        scene.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        pages.idle(page, 60)
        pages.replace_and_run(page, answer.nth(index), exercise.solution)
        pages.idle(page, 60)
        check.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        pages.idle(page, 60)
        assert "Passed" in check.inner_text()
        shot(page, "lab-03-passed", tmp_path)
        assert page.outside == [], "nothing is fetched from elsewhere"


@NEEDS_BROWSER
def test_lab_00_in_the_dark_and_its_question_by_keyboard(tmp_path):
    with pages.served(LABS, "00-start-here", {}) as address, pages.browser(dark=True) as page:
        pages.open_notebook(page, address)
        pages.run_all(page, 300)
        question = page.locator("fieldset.lab-question").first
        question.locator("input").first.focus()
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert question.locator("input").nth(2).is_checked()
        page.wait_for_function(
            "() => document.querySelector('fieldset.lab-question p').textContent.startsWith('Noted')", timeout=20_000
        )
        cards = page.locator("a[href*='control-plane.ipynb']")
        assert cards.count() >= 1
        shot(page, "lab-00-dark", tmp_path)
        assert page.outside == []


@NEEDS_BROWSER
@pytest.mark.parametrize("slow", ["checkpoints", "sessions"])
def test_a_cell_that_is_run_too_early_waits_for_the_kernel(slow):
    """JupyterLab by itself asks "Select Kernel" (slow checkpoints), or drops the run (slow sessions)."""
    with pages.served(LABS, "00-start-here", {}) as address, pages.browser() as page:
        started = []
        page.on("request", lambda request: started.append(request) if _starts_a_kernel(request) else None)
        page.add_init_script(SLOW_SERVER % slow)
        pages.open_notebook(page, address)
        first = page.locator(".jp-CodeCell").first
        first.locator(".cm-content").click(timeout=60_000)
        page.keyboard.press("Shift+Enter")
        pages.begun(page)
        pages.idle(page, 60)
        assert "[1]" in first.inner_text()
        assert len(started) == 1, "one kernel start"


SLOW_SERVER = """{
    const answer = window.fetch;
    window.fetch = async (request, ...more) => {
        if (request.url.includes('/%s?')) await new Promise(resolve => setTimeout(resolve, 3000));
        return answer(request, ...more);
    };
}"""


def _starts_a_kernel(request) -> bool:
    return request.method == "POST" and "/api/sessions?" in request.url
