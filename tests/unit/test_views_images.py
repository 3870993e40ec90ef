"""Images as stacks of layers."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from lab_helpers.views import image_layers


def picture(images):
    drawn = image_layers(images)
    ET.fromstring(drawn.html)
    return drawn


def layer(letter: str, size: int, title: str = "") -> dict:
    return {"digest": f"sha256:{letter * 64}", "size": size, "title": title}


BASE, ONE, TWO = layer("a", 10 * 2**20, "python"), layer("b", 1024, "shop"), layer("c", 2048, "report")


def test_a_shared_layer_is_drawn_and_counted_once():
    drawn = picture([{"name": "shop:1.0", "layers": [BASE, ONE]}, {"name": "report:1.0", "layers": [BASE, TWO]}])
    assert drawn.html.count(">python</text>") == 1
    assert "10 MiB stored; 20 MiB if nothing were shared" in drawn.alt
    assert "Shared: python, sha256:aaaaaaaaaaaa…, by shop:1.0, report:1.0." in drawn.alt
    assert "shop:1.0, from the bottom: python (10 MiB), shop (1 KiB)." in drawn.alt


def test_the_base_is_at_the_bottom_and_gaps_are_bridged():
    images = [{"name": "a", "layers": [BASE, ONE]}, {"name": "b", "layers": [TWO]}, {"name": "c", "layers": [BASE]}]
    drawn = picture(images)
    assert drawn.html.count(">python</text>") == 2, "one box on each side of the image without it"
    assert "stroke-dasharray" in drawn.html
    places = {text.text: float(text.get("y")) for text in ET.fromstring(drawn.html).iter() if text.tag.endswith("text")}
    assert places["python"] > places["shop"]


def test_no_image_many_images_and_layers_without_names():
    assert "0 images" in picture([]).html
    many = [{"name": f"image-{number}", "layers": [layer(f"{number:x}", 5)]} for number in range(9)]
    drawn = picture(many)
    assert "3 more images not shown" in drawn.html and "3 more images not shown" in drawn.alt
    assert ">0000000</text>" in drawn.html
    assert "no layer" in picture([{"name": "empty", "layers": []}]).alt
    assert "<b>" not in picture([{"name": "<b>", "layers": [layer("d", 1, "<i>")]}]).html
