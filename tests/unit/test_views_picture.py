"""What every picture keeps to: valid SVG without scripts, foreign text escaped, words for who sees none, the last frame."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from views_objects import KUBECTL, NOW, Seen, node, pod, request

from lab_helpers.views import History, Picture, cluster_map, node_fill, sequence, timeline
from lab_helpers.views.picture import fit, labels, shared_start, wide

EVIL = "<script>alert('1 & 2')</script>\"$HOME and $x$\x00\x1b[31m"


def evil_pictures():
    nodes, pods = (
        [node(EVIL, zone=EVIL, taints=[EVIL])],
        [pod(1, EVIL, EVIL), pod(2, "b", why=EVIL), pod(3, "b", namespace=EVIL)],
    )
    history = History(NOW - 10)
    for item in [*nodes, *pods]:
        history.feed("ADDED", item, NOW - 5)
    status = {"code": 403, "message": EVIL, "reason": EVIL}
    user = {"username": EVIL, "groups": []}
    return {
        "map": cluster_map(nodes, pods, title=EVIL, now=NOW),
        "fill": node_fill(nodes, pods, title=EVIL),
        "timeline": timeline(history, [(NOW - 5, EVIL)], title=EVIL, now=NOW),
        "sequence": sequence([request(EVIL, EVIL, EVIL, EVIL, user=user, responseStatus=status)], title=EVIL),
        "requests": sequence([request(KUBECTL, "get", "pods", EVIL, responseStatus=status)], title=EVIL),
    }


@pytest.mark.parametrize("name", ["map", "fill", "timeline", "sequence", "requests"])
def test_foreign_text_is_text(name):
    picture = evil_pictures()[name]
    seen = Seen(picture)  # it is XML
    tags = {part.tag.rpartition("}")[2] for part in seen.svg.iter()}
    assert tags <= {"svg", "title", "path", "text", "g"}
    assert not any(key.lower().startswith("on") or "href" in key for part in seen.svg.iter() for key in part.keys())  # noqa: SIM118
    assert seen.svg.get("role") == "img"
    assert seen.svg.get("aria-label").startswith(EVIL[:20])
    assert seen.svg[0].tag.endswith("title") and seen.svg[0].text
    assert seen.svg.get("class") == "mathjax_ignore", "JupyterLab takes $…$ for mathematics anywhere else"
    assert "id=" not in picture.html, "two pictures on one page must not clash"


def test_colours_have_fallbacks():
    """VS Code and exported pages know no --jp-* variables."""
    for picture in evil_pictures().values():
        for variable in picture.html.split("var(--jp-")[1:]:
            assert "," in variable.partition(")")[0]


def test_a_picture_is_html_with_words():
    bundle = Picture("<svg/>", "words")._repr_mimebundle_()
    assert bundle == {"text/html": "<svg/>", "text/plain": "words"}
    assert str(Picture("<svg/>", "words")) == "words"


def test_the_same_data_give_the_same_picture():
    once, again = evil_pictures(), evil_pictures()
    assert once == again


def test_fitting_keeps_both_ends():
    name = "a-deployment-with-a-long-name-7d8f9c-x2x9z"
    short = fit(name, 120, 12)
    assert wide(short, 12) <= 120
    assert short.startswith("a-dep") and short.endswith("x2x9z") and "…" in short
    assert fit("web", 120, 12) == "web"
    assert fit(name, 0, 12) == "…"


def test_labels_drop_what_names_share():
    names = [f"ip-10-0-{n}.eu-central-1.compute.internal" for n in (1, 22, 133)]
    assert list(labels(names, 200, 12).values()) == ["ip-10-0-1", "ip-10-0-22", "ip-10-0-133"]
    assert list(labels(names, 50, 12).values()) == ["…1", "…22", "…133"]
    assert labels(["alone.example"], 200, 12) == {"alone.example": "alone.example"}
    assert labels([], 10, 12) == {}
    assert shared_start(["web-7d", "web-5f"]) == "web-"


def test_the_last_frame_stays_in_the_notebook():
    """In a real kernel: frames come faster than they may be shown, then the cell fails; the last one is stored."""
    source = (
        "from lab_helpers.views import Live, Picture\n"
        "with Live(frames=2) as live:\n"
        "    for number in range(500):\n"
        "        live.show(Picture(f'<p>{number}</p>', f'frame {number}'))\n"
        "    raise KeyboardInterrupt\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    done = NotebookClient(notebook, kernel_name="python3", timeout=60, allow_errors=True).execute()
    shown = [output for output in done.cells[0].outputs if output.output_type == "display_data"]
    assert [output["data"]["text/plain"] for output in shown] == ["frame 499"]
    assert shown[0]["data"]["text/html"] == "<p>499</p>"
