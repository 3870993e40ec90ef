"""Errors: what failed, what was seen, what to type next, in every place where they can be read."""

from __future__ import annotations

import inspect

import pytest

from lab_helpers import errors
from lab_helpers.errors import CheckFailed, KubernetesError, LabError


def test_the_drawing_at_the_top_names_every_error():
    names = {name for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, LabError)}
    assert all(name in errors.__doc__ for name in names)


def test_text_holds_all_three():
    error = LabError("It broke.", "smoke", "open a window")
    assert error.text() == "It broke.\nSeen: smoke\nNext: open a window"
    assert str(error) == error.text()


def test_a_panel_escapes_what_is_foreign_and_keeps_dollars_from_being_typeset():
    html = CheckFailed("No.", "<script>$x$</script> \x1b[31mred\x1b[0m").html()
    assert "<script>" not in html and "\x1b" not in html
    assert "<code" in html.partition("$x$")[0]


def test_every_colour_of_a_panel_has_a_fallback():
    import re

    html = LabError("x", "y", "z").html()
    assert re.findall(r"var\(--[\w-]+\)", html) == []


def test_a_panel_is_shown_once(capsys):
    error = LabError("It broke.")
    assert error._render_traceback_() == ["LabError: It broke."]
    first = capsys.readouterr().out
    error._render_traceback_()
    assert "It broke." in first and capsys.readouterr().out == ""


def test_status_and_reason_travel():
    error = KubernetesError("No.", status=409, reason="Conflict")
    assert (error.status, error.reason) == (409, "Conflict")
    with pytest.raises(LabError):
        raise error
