"""Checks of lab 01. They run the learner's images, or weigh them; never the text that was typed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lab_helpers import CheckFailed, Lab, LabError, containers

PARTS = ("python", "library", "shop", "config", "manifest")
FETCH = 8192  # bytes that a till may have to fetch for one line


def close(lab: Lab) -> None:
    """What the lab started beside: containers and images in the engine, the registry."""
    containers.clean()


# -- ship the fix -----------------------------------------------------------------------------------------------------


def scene_ship_the_fix(lab: Lab) -> None:
    """There is 1.0 at the tills, and no 1.1 yet."""
    work = lab.lesson.folder / "work"
    if not (work / "shop-1.0" / "index.json").exists():
        raise LabError("There is no work/shop-1.0 yet.", next_step="run the cells of section 2 first: they build it")
    shutil.rmtree(work / "shop-1.1", ignore_errors=True)
    (work / "invoice.py").unlink(missing_ok=True)


def ship_the_fix(lab: Lab) -> None:
    """1.1 asks for 16 %, a till that has 1.0 fetches next to nothing, and the prediction is what happened."""
    work = lab.lesson.folder / "work"
    if not (work / "shop-1.1").exists():
        raise CheckFailed("There is no image work/shop-1.1 yet.", next_step="which of the three layers holds the line?")
    old, new = containers.read(work / "shop-1.0"), containers.read(work / "shop-1.1")
    said = _run(new)
    if "total 1.74" not in said:
        still = "still asks for 19 %" if "total 1.7" in said else "does not print the invoice's total"
        raise CheckFailed(
            f"shop-1.1 {still}.", said.strip()[-400:] or "no output", "16 % makes 1.74: which file did its layer get?"
        )
    if "money 1.4" not in said:
        raise CheckFailed("shop-1.1 brings another version of money.", said.strip(), "the ticket names one line only")
    before = {layer["digest"] for layer in old.layers}
    fetched = sum(size for digest, size in new.blobs.items() if digest not in old.blobs)
    if fetched > FETCH:
        extra = [layer for layer in new.layers if layer["digest"] not in before and layer["size"] > FETCH]
        seen = ", ".join(f"{_title(layer)}: {layer['size']:,} bytes under a digest that no till has" for layer in extra)
        raise CheckFailed(
            f"A till that has 1.0 fetches {fetched / 2**20:.1f} MiB for one line.",
            seen,
            "the files in it are the same as before: why is its digest not?",
        )
    real = {"config", "manifest"} | {_title(layer) for layer in old.layers if layer["digest"] not in _digests(new)}
    named = lab.answer("changed")
    if not isinstance(named, (set, list, tuple)) or not set(named) <= set(PARTS):
        raise CheckFailed(f"changed is {named!r}.", next_step=f"a set of names out of {', '.join(PARTS)}")
    if set(named) != real:
        missed, wrong = sorted(real - set(named)), sorted(set(named) - real)
        raise CheckFailed(
            "The image is right; the prediction is not.",
            "; ".join(
                [*([f"changed without being named: {', '.join(missed)}"] if missed else []),
                 *([f"named, and the same as before: {', '.join(wrong)}"] if wrong else [])]
            ),
            "who holds the digest of whom? Follow it from the layer upwards",
        )  # fmt: skip


def _title(layer: dict[str, object]) -> str:
    notes = layer.get("annotations")
    return str(notes.get("org.opencontainers.image.title", "a layer")) if isinstance(notes, dict) else "a layer"


def _digests(image: containers.Image) -> set[str]:
    return {str(layer["digest"]) for layer in image.layers}


def _run(image: containers.Image) -> str:
    """What the image prints; where nothing runs containers, what its files print under this Python."""
    box = containers.runtime()
    if box.name != "nobody":
        return box.run(image.folder, quiet=True, STAGE="check").output
    with tempfile.TemporaryDirectory() as folder:
        root = containers.unpack(image, Path(folder))
        env = {**os.environ, "PYTHONPATH": str(root / "app" / "library")}
        program = [sys.executable, str(root / "app" / "invoice.py")]
        done = subprocess.run(program, capture_output=True, text=True, env=env, timeout=60)
        return done.stdout + done.stderr


# -- what a node stores -----------------------------------------------------------------------------------------------


def node_disk(lab: Lab) -> None:
    """`stored` is right about images that the learner has never seen."""
    stored = lab.answer("stored")
    if not callable(stored):
        raise CheckFailed(f"stored is a {type(stored).__name__}, not a function.", next_step="def stored(folders):")
    with tempfile.TemporaryDirectory() as place:
        folders = _strangers(Path(place))
        images = [containers.read(folder) for folder in folders]
        try:
            yours = stored([str(folder) for folder in folders])
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise CheckFailed("Your stored raised an error on four images of ours.", said, "try it on work/shop-1.0") from None
        unique = {digest: size for image in images for digest, size in image.blobs.items()}
        if yours == sum(unique.values()):
            return
        layers = {layer["digest"]: layer["size"] for image in images for layer in image.layers}
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        known = {
            sum(sum(image.blobs.values()) for image in images): "It counts a blob once for each image that has it.",
            sum(layers.values()): "It counts the layers, and forgets configs and manifests: they are blobs too.",
            sum(set(unique.values())): "It takes two blobs for the same because they have the same size.",
            sum(path.stat().st_size for path in files): "It counts every file that lies in the folders.",
        }
        headline = known.get(yours, "stored is wrong about four images of ours.")
        seen = f"four images: yours says {yours} bytes, a node stores {sum(unique.values())}"
        raise CheckFailed(headline, seen, "by what does a node know that it has a blob already?")


def _strangers(place: Path) -> list[Path]:
    """Four images: a shared base, two different layers of one size, one image twice under two names, and a stray file."""
    lot = random.Random(7)
    base, one, two = (containers.tar_of({"data": lot.randbytes(size)}) for size in (50_000, 9_000, 9_000))
    made = [
        containers.write_image(place / "tea-1.0", [base, one]),
        containers.write_image(place / "tea-1.1", [base, two]),
        containers.write_image(place / "tea-latest", [base, two]),
        containers.write_image(place / "tools-3", [one]),
    ]
    (made[0] / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"of an image that was deleted")
    return made


# -- the limit that fits ----------------------------------------------------------------------------------------------


def limit_that_fits(lab: Lab) -> None:
    """The report ends well under `limit`, and does not under two thirds of it."""
    limit = lab.answer("limit")
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 2**20:
        raise CheckFailed(f"limit is {limit!r}.", next_step="a whole number of MiB, for instance limit = 64")
    box, layout = containers.runtime(), lab.lesson.folder / "work" / "report-1.0"
    if box.name == "nobody":
        raise CheckFailed("Nothing here runs containers, so no limit can be tried.", box.says, "see section 3")
    ran = box.run(layout, memory=limit, quiet=True)
    if ran.code != 0:
        last = (ran.output.strip().splitlines() or ["no output"])[-1]
        raise CheckFailed(
            f"With {limit} MiB the report does not end: exit code {ran.code}.",
            f"{ran.why}; its last line: {last}",
            "how much had it read when it ended, and how much does it have to read?",
        )
    less = limit * 2 // 3
    if box.run(layout, memory=less, quiet=True).code == 0:
        raise CheckFailed(
            f"{limit} MiB is far more than the report needs: {less} MiB are enough, too.",
            "what one container reserves, no other one on the node can have",
            "go down until it dies. Where is the border?",
        )
