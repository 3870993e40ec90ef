"""What the lab shows beside the programs' own output: panels, the course map, the preflight table, progress bars.

Everything has a plain-text form; every colour has a fallback, for VS Code and exported pages.
"""

from __future__ import annotations

import os
import re
import sys
from html import escape, unescape
from typing import TYPE_CHECKING
from urllib.parse import quote

from lab_helpers import toolchain
from lab_helpers.errors import LessonError
from lab_helpers.teaching import progress
from lab_helpers.toolchain.diagnose import Row, diagnose

if TYPE_CHECKING:
    from lab_helpers.clusters import Provider
    from lab_helpers.teaching.lesson import Exercise, Lesson
    from lab_helpers.views import Picture

_BOX = (
    "border:1px solid var(--jp-border-color1,#888);border-left:6px solid {edge};border-radius:4px;padding:.5em 1em;"
    "margin:.3em 0;max-width:60em;color:var(--jp-content-font-color1,currentColor);"
    "font-size:var(--jp-content-font-size1,14px)"
)
_GOOD, _PLAIN, _BAD = "#009E73", "#56B4E9", "#D55E00"


def in_notebook() -> bool:
    """Whether there is a kernel, so that something can be shown."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return get_ipython() is not None


def put(html: str, words: str) -> None:
    """Show something: as HTML in a notebook, as words where there is none."""
    if not in_notebook():
        print(words)
        return
    from IPython.display import display

    display({"text/html": html, "text/plain": words}, raw=True)


def show(headline: str, html: str, *, good: bool = False) -> None:
    """Show a panel; its words are also there as plain text."""
    box = _BOX.format(edge=_GOOD if good else _PLAIN)
    put(f"<div style='{box}'><strong>{escape(headline)}</strong>{html}</div>", f"{headline}\n{plain(html)}")


def plain(html: str) -> str:
    """HTML's words, a line for each block."""
    words = re.sub(r"</(p|li|tr|div|h\d|pre)>|<br ?/?>", "\n", html)
    words = re.sub(r"</t[dh]>", "  ", words)
    return re.sub(r"\n\s*\n+", "\n", unescape(re.sub(r"<[^>]+>", "", words))).strip()


def code(words: str) -> str:
    """Inline code; between dollars JupyterLab would otherwise see mathematics."""
    return f"<code>{escape(words)}</code>"


def picture(drawn: Picture) -> None:
    """Show a picture; in plain text, its words."""
    put(drawn.html, drawn.alt)


def banner(lesson: Lesson, maker: Provider, done: int, stopped: list[str], why: str) -> None:
    """The panel that a lab opens with.

    Args:
        done: how many exercises were passed before.
        stopped: components that the learner stopped when the lab was open before.
        why: why this provider, in a sentence.
    """
    rows = [f"<p>{text(lesson.summary)}</p>"]
    if lesson.profile:
        from lab_helpers.clusters import described

        real, simulated = described(maker, lesson.profile)
        rows.append(f"<p><b>Provider</b> {escape(why)}</p>")
        rows.append(f"<p><b>Real</b>: {escape(real)}</p>")
        if simulated:
            rows.append(f"<p><b>Simulated</b>: {escape(simulated)}</p>")
        rows.append(f"<p><b>Start again</b>: {code('lab.reset()')} brings the cluster back to its beginning.</p>")
    if lesson.aws:
        rows += _aws(lesson, maker, why)
    rows.append(f"<p><b>A terminal like this notebook</b>: {code(f'lab shell {lesson.name}')}</p>")
    if stopped:
        names = ", ".join(code(name) for name in stopped)
        rows.append(f"<p><b>Stopped by you</b>: {names}. {code(f'lab.start({stopped[0]!r})')} starts it again.</p>")
    count = len(lesson.exercises)
    rows.append(
        f"<p>About {lesson.minutes} minutes, {count} exercises, {done} of them passed so far. "
        "<b>Next</b>: read on, and run each cell with Shift+Enter.</p>"
    )
    show(lesson.title, "".join(rows))


def _aws(lesson: Lesson, maker: Provider, why: str) -> list[str]:
    """The banner's rows about AWS, and about the clusters that will be made by it."""
    from lab_helpers.clusters import Profile, described

    real, simulated = described(maker, Profile(managed=True))
    of_clusters = "" if lesson.profile else f" Each cluster's control plane is real too. {real}"
    rows = [
        f"<p><b>Real</b>: eksctl, the AWS CLI, kubectl, aws-iam-authenticator.{escape(of_clusters)}</p>",
        "<p><b>Simulated</b>: AWS itself is played by a program on this machine. Nothing reaches AWS, and nothing costs. "
        f"An older Kubernetes is {toolchain.version('kubectl')} that behaves like it. "
        f"{escape('' if lesson.profile else simulated)}</p>",
    ]
    if not lesson.profile:
        rows.insert(0, f"<p><b>Clusters are made by</b> {escape(why)}</p>")
        rows.append(f"<p><b>Start again</b>: {code('lab.reset()')} empties the account.</p>")
    return rows


def passed(lesson: Lesson, exercise: Exercise) -> None:
    """The panel after a passed check: how far the lab is, and the debrief."""
    from markdown_it import MarkdownIt

    done = [name for name in progress.passed(lesson.name) if name in lesson.exercises]
    more = f"{len(done)} of {len(lesson.exercises)} exercises of this lab passed."
    more += "" if len(done) < len(lesson.exercises) else " That was the last one."
    debrief = _no_mathematics(MarkdownIt().render(exercise.debrief))
    show("✓ Passed", f"<p>{more}</p>{debrief}", good=True)


def hint(number: int, exercise: Exercise) -> None:
    """The hints so far, the newest last: the cell that shows them replaces its own output."""
    items = "".join(f"<li>Hint {n}: {text(words)}</li>" for n, words in enumerate(exercise.hints[:number], 1))
    last = number == len(exercise.hints)
    more = f"That was the last hint. {code(f'solution({exercise.id!r})')} shows one solution."
    more = more if last else "For one more, run this cell again."
    body = f"<ul style='list-style:none;padding:0;margin:.4em 0'>{items}</ul><p><small>{more}</small></p>"
    show(f"Hint {number} of {len(exercise.hints)}", body)


def solution(exercise: Exercise) -> None:
    """The solution as a block that can be copied: one click selects it all."""
    block = f"<pre style='white-space:pre-wrap;user-select:all;margin:.5em 0'><code>{escape(exercise.solution)}</code></pre>"
    more = "It is noted that you looked. Put it into the exercise cell, run it, and read it until you could write it."
    show("One solution", f"{block}<p><small>{more}</small></p>")


def _no_mathematics(html: str) -> str:
    """HTML in which a dollar before a price is a dollar: JupyterLab typesets what lies between two, but never in code."""
    dollar = "<code style='font:inherit;color:inherit;background:none;padding:0'>$</code>"
    parts = re.split(r"(<code.*?</code>)", html, flags=re.S)
    return "".join(part if part.startswith("<code") else part.replace("$", dollar) for part in parts)


def text(markdown: str) -> str:
    """A line with `code` in it as HTML."""
    return _no_mathematics(re.sub(r"`([^`]+)`", lambda match: code(unescape(match[1])), escape(markdown)))


def course_map() -> None:
    """Every lab as a card to click, with its minutes and what is passed; a folder with a fault says so on its card."""
    from lab_helpers.teaching import lesson

    cards, words = [], []
    for name in lesson.names():
        try:
            card, line = _card(lesson.find(name))
        except LessonError as error:
            card, line = f"<strong>{escape(name)}</strong><p>{code(error.text())}</p>", f"{name}: {error.text()}"
            card = f"<div style='{_BOX.format(edge=_BAD)};flex:1 1 16em'>{card}</div>"
        cards.append(card)
        words.append(line)
    put(f"<div style='display:flex;flex-wrap:wrap;gap:.6em;max-width:62em'>{''.join(cards)}</div>", "\n".join(words))


def _card(lesson: Lesson) -> tuple[str, str]:
    done = len([name for name in progress.passed(lesson.name) if name in lesson.exercises])
    count = len(lesson.exercises)
    state = "✓ done" if done == count and count else f"{done} of {count} exercises" if count else "no exercises"
    edge = _GOOD if done == count and count else _PLAIN
    # Relative: JupyterLab opens it in its own window, whatever folder it serves.
    link = quote(os.path.relpath(lesson.notebook))
    title = f"<a href='{escape(link)}'><strong>{escape(lesson.name[:2])} {escape(lesson.title)}</strong></a>"
    body = f"<p>{text(lesson.summary)}</p><small>{lesson.minutes} min · {state}</small>"
    card = f"<div style='{_BOX.format(edge=edge)};flex:1 1 16em'>{title}{body}</div>"
    return card, f"{lesson.name}: {lesson.title}. {lesson.summary} {lesson.minutes} min, {state}."


def preflight() -> None:
    """What is here, what is missing, and the one command that fixes it."""
    rows = diagnose(thorough=False)
    body = "".join(_row(row) for row in rows)
    head = "".join(f"<th style='text-align:left'>{title}</th>" for title in ("", "what", "found", "needed", "what to type"))
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    missing = [row.what for row in rows if not row.ok]
    verdict = "Everything is here." if not missing else f"Still to come: {', '.join(missing)}."
    put(f"{html}<p>{escape(verdict)}</p>", f"{plain(html)}\n{verdict}")


def _row(row: Row) -> str:
    mark = f"<span style='color:{_GOOD}'>✓</span>" if row.ok else f"<span style='color:{_BAD}'>✗</span>"
    cells = [mark, escape(row.what), code(row.found), escape(row.needed), code(row.next_step) if row.next_step else ""]
    body = "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells)
    return f"<tr>{body}</tr>"


def status_words(now: toolchain.SetupStatus) -> str:
    """The set-up's state in one line."""
    if now.error:
        return f"The set-up stopped: {now.error} Type in a terminal: lab setup"
    if not now.lines:
        return "waiting for the set-up to begin"
    ready = sum(line.state == "ready" for line in now.lines.values())
    busy = next((name for name, line in now.lines.items() if line.state in ("building", "downloading")), "")
    doing = f", {now.lines[busy].state} {busy}" if busy else ""
    return f"{ready} of {len(now.lines)} programs ready{doing}, about {max(0, round(now.left))} s left"
