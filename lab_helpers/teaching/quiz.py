"""Questions: `predict` before a run, `compare` after it, `quiz` for what was learned. The answers outlive the kernel.

One small anywidget of our own, because ipywidgets' radio buttons cannot be used from the keyboard in JupyterLab: their
inputs form no group, so an arrow key leaves the question and moves the notebook's cell cursor.
"""

from __future__ import annotations

from html import escape
from typing import Any

from lab_helpers.errors import SettingError
from lab_helpers.teaching import progress

_ESM = """
function render({ model, el }) {
  const group = "q" + Math.random().toString(36).slice(2);
  const set = el.appendChild(document.createElement("fieldset"));
  set.className = "lab-question";
  set.appendChild(document.createElement("legend")).textContent = model.get("question");
  for (const [key, words] of Object.entries(model.get("options"))) {
    const label = set.appendChild(document.createElement("label"));
    const input = label.appendChild(document.createElement("input"));
    Object.assign(input, { type: "radio", name: group, value: key });
    input.addEventListener("change", () => { model.set("choice", key); model.save_changes(); });
    label.append(" " + words);
  }
  const button = set.appendChild(document.createElement("button"));
  Object.assign(button, { type: "button", textContent: model.get("button") });
  button.onclick = () => model.send({ answer: model.get("choice") });
  const said = set.appendChild(document.createElement("p"));
  said.setAttribute("role", "status");
  // JupyterLab takes keys for itself unless the focused element says that they are its own.
  set.querySelectorAll("input, button").forEach((e) => { e.dataset.lmSuppressShortcuts = "true"; });
  const draw = () => {
    said.textContent = model.get("said");
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
        words = "\n".join([self.question, *(f"  ( ) {text}" for text in self.options.values())])
        display({**data, "text/plain": words}, raw=True)


class _Prediction(_Question):
    def reply(self, choice: str) -> str:
        return "Noted. Now run the next cell and see."


class _Quiz(_Question):
    right, why = "", ""

    def reply(self, choice: str) -> str:
        if choice == self.right:
            return f"✓ Right. {self.why}"
        return "✗ Not yet. Look again at what you saw, then change your answer."


def predict(lab: str, name: str, question: str, options: list[str]) -> None:
    """Ask what will happen. Never blocks; the choice is remembered for `compare`."""
    _Prediction(lab, "predictions", name, question, {option: option for option in options}, "That is my prediction").show()


def compare(lab: str, name: str, happened: str) -> None:
    """Say what happened beside what was predicted.

    Args:
        happened: one of the prediction's options, word for word.
    """
    from lab_helpers.teaching.panels import show

    said = progress.of(lab).get("predictions", {}).get(name)
    if said is None:
        show("What happened", f"<p>{escape(happened)}</p><p>You made no prediction. Next time, try: it makes you look.</p>")
    elif said == happened:
        show("As you predicted", f"<p>✓ {escape(happened)}</p>", good=True)
    else:
        show("Not as you predicted", f"<p>You said: {escape(said)}</p><p>It happened: <b>{escape(happened)}</b></p>")


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
