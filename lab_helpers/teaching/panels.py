"""What the lab shows beside the programs' own output: panels, the course map, the preflight table, progress bars.

Everything has a plain-text form; every colour has a fallback, for VS Code and exported pages.
"""

from __future__ import annotations

import re
from html import escape, unescape
from typing import TYPE_CHECKING

from lab_helpers import toolchain
from lab_helpers.teaching import progress
from lab_helpers.toolchain.diagnose import Row, diagnose

if TYPE_CHECKING:
    from lab_helpers.teaching.lesson import Exercise, Lesson

_BOX = (
    "border:1px solid var(--jp-border-color1,#888);border-left:6px solid {edge};border-radius:4px;padding:.5em 1em;"
    "margin:.3em 0;max-width:60em;color:var(--jp-content-font-color1,currentColor);"
    "font-size:var(--jp-content-font-size1,14px)"
)
_GOOD, _PLAIN, _BAD = "#009E73", "#56B4E9", "#D55E00"


def show(headline: str, html: str, *, good: bool = False) -> None:
    """Show a panel; its words are also there as plain text."""
    from IPython.display import display

    box = _BOX.format(edge=_GOOD if good else _PLAIN)
    panel = f"<div style='{box}'><strong>{escape(headline)}</strong>{html}</div>"
    display({"text/html": panel, "text/plain": f"{headline}\n{plain(html)}"}, raw=True)


def plain(html: str) -> str:
    """HTML's words, a line for each block."""
    text = re.sub(r"</(p|li|tr|div|h\d)>|<br/?>", "\n", html)
    text = re.sub(r"</t[dh]>", "  ", text)
    return re.sub(r"\n\s*\n+", "\n", unescape(re.sub(r"<[^>]+>", "", text))).strip()


def code(text: str) -> str:
    """Inline code; between dollars JupyterLab would otherwise see mathematics."""
    return f"<code>{escape(text)}</code>"


def banner(lesson: Lesson, provider: str, real: str, simulated: str, done: int) -> None:
    """The panel that a lab opens with."""
    rows = [f"<p>{escape(lesson.summary)}</p>"]
    if lesson.profile:
        rows.append(f"<p><b>Real</b> (provider {code(provider)}): {escape(real)}</p>")
        if simulated:
            rows.append(f"<p><b>Simulated</b>: {escape(simulated)}</p>")
    rows.append(
        f"<p><b>Start again</b>: {code('lab.reset()')} makes a new cluster. "
        f"<b>A terminal like this notebook</b>: {code(f'lab shell {lesson.name}')}</p>"
    )
    count = len(lesson.exercises)
    rows.append(f"<p>About {lesson.minutes} minutes, {count} exercises, {done} of them passed so far.</p>")
    show(lesson.title, "".join(rows))


def passed(lesson: Lesson, exercise: Exercise) -> None:
    """The panel after a passed check, and the debrief."""
    from IPython.display import display

    done = [name for name in progress.passed(lesson.name) if name in lesson.exercises]
    left = [name for name in lesson.exercises if name not in done]
    more = f"{len(done)} of {len(lesson.exercises)} exercises of this lab passed."
    more += "" if left else " That was the last one."
    show("✓ Passed", f"<p>{more}</p>", good=True)
    # A dollar before a price would begin mathematics.
    text = re.sub(r"(?<!\\)\$", r"\\$", exercise.debrief)
    display({"text/markdown": text, "text/plain": exercise.debrief}, raw=True)


def hint(number: int, exercise: Exercise) -> None:
    """One hint."""
    last = number == len(exercise.hints)
    more = "That was the last hint. " + code(f'solution("{exercise.id}")') if last else "One more: run this cell again."
    words = _inline(exercise.hints[number - 1])
    show(f"Hint {number} of {len(exercise.hints)}", f"<p>{words}</p><p><small>{more}</small></p>")


def solution(exercise: Exercise) -> None:
    """The solution as a block that can be copied."""
    text = f"<pre style='white-space:pre-wrap'>{escape(exercise.solution)}</pre>"
    show(
        "One solution",
        f"{text}<p><small>Put it into the exercise cell, run it, and read it until you could write it.</small></p>",
    )


def _inline(markdown: str) -> str:
    """Text with `code` in it as HTML."""
    return re.sub(r"`([^`]+)`", lambda match: code(unescape(match[1])), escape(markdown))


def course_map(lessons: list[Lesson]) -> None:
    """Every lab as a card to click, with its minutes and what is passed."""
    from IPython.display import display

    cards, words = [], []
    for lesson in lessons:
        done = len([name for name in progress.passed(lesson.name) if name in lesson.exercises])
        count = len(lesson.exercises)
        state = "✓ done" if done == count and count else f"{done} of {count} exercises" if count else ""
        edge = _GOOD if done == count and count else _PLAIN
        link = f"../{lesson.name}/{lesson.notebook.name}"
        title = f"<a href='{escape(link)}'><strong>{escape(lesson.name[:2])} {escape(lesson.title)}</strong></a>"
        body = f"<p>{escape(lesson.summary)}</p><small>{lesson.minutes} min · {state}</small>"
        cards.append(f"<div style='{_BOX.format(edge=edge)};flex:1 1 16em'>{title}{body}</div>")
        words.append(f"{lesson.name}: {lesson.title}. {lesson.summary} {lesson.minutes} min, {state}.")
    html = f"<div style='display:flex;flex-wrap:wrap;gap:.6em;max-width:62em'>{''.join(cards)}</div>"
    display({"text/html": html, "text/plain": "\n".join(words)}, raw=True)


def preflight() -> None:
    """What is here, what is missing, and the one command that fixes it."""
    from IPython.display import display

    rows = diagnose(thorough=False)
    body = "".join(_row(row) for row in rows)
    head = "".join(f"<th style='text-align:left'>{title}</th>" for title in ("", "what", "found", "needed", "what to type"))
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    missing = [row.what for row in rows if not row.ok]
    verdict = "Everything is here." if not missing else f"Still to come: {', '.join(missing)}."
    display({"text/html": f"{html}<p>{escape(verdict)}</p>", "text/plain": f"{plain(html)}\n{verdict}"}, raw=True)


def _row(row: Row) -> str:
    mark = f"<span style='color:{_GOOD}'>✓</span>" if row.ok else f"<span style='color:{_BAD}'>✗</span>"
    cells = [mark, escape(row.what), code(row.found), escape(row.needed), code(row.next_step) if row.next_step else ""]
    body = "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells)
    return f"<tr>{body}</tr>"


def status_words(now: toolchain.SetupStatus) -> str:
    """The set-up's state in one line."""
    if now.error:
        return f"The set-up stopped: {now.error} Type in a terminal: lab setup"
    ready = sum(line.state == "ready" for line in now.lines.values())
    busy = next((name for name, line in now.lines.items() if line.state in ("building", "downloading")), "")
    doing = f", {now.lines[busy].state} {busy}" if busy else ""
    return f"{ready} of {len(now.lines)} programs ready{doing}, about {max(0, round(now.left))} s left"
