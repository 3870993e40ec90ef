"""Questions: `predict` before a run, `compare` after it, `quiz` for what was learned. The answers outlive the kernel.

One small anywidget of our own, because ipywidgets' radio buttons cannot be used from the keyboard in JupyterLab: their
inputs form no group, so an arrow key leaves the question and moves the notebook's cell cursor.
"""

from __future__ import annotations

from typing import Any

from lab_helpers.errors import SettingError
from lab_helpers.teaching import progress

_ESM = """
function render({ model, el }) {
  const group = "q" + Math.random().toString(36).slice(2);
  const set = el.appendChild(document.createElement("fieldset"));
  set.className = "lab-question";
  const write = (where, words) => words.split("`").forEach((part, number) => {
    where.append(number % 2 ? Object.assign(document.createElement("code"), { textContent: part }) : part);
  });
  write(set.appendChild(document.createElement("legend")), model.get("question"));
  for (const [key, words] of Object.entries(model.get("options"))) {
    const label = set.appendChild(document.createElement("label"));
    const input = label.appendChild(document.createElement("input"));
    Object.assign(input, { type: "radio", name: group, value: key });
    input.addEventListener("change", () => { model.set("choice", key); model.save_changes(); });
    // Enter chooses too: with one key less to know, nobody is stuck.
    input.addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); input.click(); send(); } });
    write(label, " " + words);
  }
  const send = () => model.send({ answer: model.get("choice") });
  if (model.get("button")) {
    const button = set.appendChild(document.createElement("button"));
    Object.assign(button, { type: "button", textContent: model.get("button"), onclick: send });
  } else {
    set.addEventListener("change", send);
  }
  const said = set.appendChild(document.createElement("p"));
  said.setAttribute("role", "status");
  // JupyterLab takes keys for itself unless the focused element says that they are its own.
  set.querySelectorAll("input, button").forEach((e) => { e.dataset.lmSuppressShortcuts = "true"; });
  const draw = () => {
    said.replaceChildren();
    write(said, model.get("said"));
    set.querySelectorAll("input").forEach((i) => { i.checked = i.value === model.get("choice"); });
  };
  model.on("change:said change:choice", draw);
  draw();
}
export default { render };
"""
_CSS = """
.lab-question { border: 1px solid var(--jp-border-color1, #888); border-left: 6px solid #56B4E9; border-radius: 4px;
  color: var(--jp-content-font-color1, currentColor); margin: .3em 0; padding: .4em 1em .6em; max-width: 60em;
  font: var(--jp-content-font-size1, 14px) / 1.5 var(--jp-content-font-family, sans-serif); }
.lab-question legend { font-weight: 600; padding: 0 .4em; }
.lab-question label { display: block; }
.lab-question code { font-family: var(--jp-code-font-family, monospace); }
.lab-question p { margin: .4em 0 0; min-height: 1.5em; }
"""


class _Question:
    """What predict and quiz share: the words, the remembered answer, the widget where there is a browser."""

    def __init__(self, lab: str, kind: str, name: str, question: str, options: dict[str, str], button: str) -> None:
        if len(options) < 2:
            raise SettingError(f"The question {name!r} has fewer than two options.")
        self.lab, self.kind, self.name = lab, kind, name
        self.question, self.options, self.button = question, options, button

    def reply(self, choice: str) -> str:
        """What is said of a choice."""
        raise NotImplementedError

    def answer(self, choice: str) -> str:
        """Answer without a browser: the same as choosing and pressing the button."""
        if choice not in self.options:
            return "Choose one first."
        progress.note(self.lab, self.kind, self.name, choice)
        return self.reply(choice)

    def show(self) -> None:
        """Display the question; in plain text it stands as words."""
        import anywidget
        import traitlets
        from IPython.display import display

        class Question(anywidget.AnyWidget):
            _esm, _css = _ESM, _CSS
            question = traitlets.Unicode(self.question).tag(sync=True)
            options = traitlets.Dict(self.options).tag(sync=True)
            button = traitlets.Unicode(self.button).tag(sync=True)
            choice = traitlets.Unicode("").tag(sync=True)
            said = traitlets.Unicode("").tag(sync=True)

        known = str(progress.of(self.lab).get(self.kind, {}).get(self.name, ""))
        widget: Any = Question(choice=known, said=self.reply(known) if known in self.options else "")

        def received(_widget: Any, message: dict[str, str], _buffers: Any) -> None:
            widget.said = self.answer(message.get("answer", ""))

        widget.on_msg(received)
        bundle = widget._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        rows = [f"  ({'x' if key == known else ' '}) {text}" for key, text in self.options.items()]
        display({**data, "text/plain": "\n".join([self.question, *rows, widget.said]).strip()}, raw=True)


class _Prediction(_Question):
    def reply(self, choice: str) -> str:
        return "Noted. Run on and see."


class _Quiz(_Question):
    right, why = "", ""

    def reply(self, choice: str) -> str:
        if choice == self.right:
            return f"✓ Right. {self.why}"
        return "✗ Not yet. Look again at what you saw, then change your answer."


_asked: dict[tuple[str, str], list[str]] = {}


def predict(lab: str, name: str, question: str, options: list[str]) -> None:
    """Ask what will happen. Never blocks and never judges; a choice is remembered at once, for `compare`."""
    if len(set(options)) < len(options):
        raise SettingError(f"The prediction {name!r} has the same option twice.")
    _asked[lab, name] = list(options)
    _Prediction(lab, "predictions", name, question, {option: option for option in options}, "").show()


def compare(lab: str, name: str, happened: str) -> None:
    """Say what happened beside what was predicted.

    Args:
        happened: one of the prediction's options, word for word.

    Raises:
        SettingError: it is none of them.
    """
    from lab_helpers.teaching.panels import show, text

    if happened not in _asked.get((lab, name), [happened]):
        raise SettingError(f"{happened!r} is no option of the prediction {name!r}.", next_step="; ".join(_asked[lab, name]))
    said = progress.of(lab).get("predictions", {}).get(name)
    if said is None:
        more = "You made no prediction. Try it next time: it makes you look."
        show("What happened", f"<p>{text(happened)}</p><p>{more}</p>")
    elif said == happened:
        show("As you predicted", f"<p>✓ {text(happened)}</p>", good=True)
    else:
        show("Not as you predicted", f"<p>You said: {text(str(said))}</p><p>It happened: <b>{text(happened)}</b></p>")


def quiz(lab: str, name: str, question: str, options: dict[str, str], right: str, why: str) -> None:
    """Ask what was learned; the answer can be changed until it is right.

    Args:
        options: key → words.
        right: the right key.
        why: said after the right answer.
    """
    if right not in options:
        raise SettingError(f"The quiz {name!r} has no option {right!r}.")
    question_ = _Quiz(lab, "answers", name, question, options, "Check my answer")
    question_.right, question_.why = right, why
    question_.show()
