"""Official releases, where the network allows: probed quickly, checked by SHA-256, never half there."""

from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings
from lab_helpers.toolchain.catalog import Program, machine
from lab_helpers.toolchain.store import digest

PROBE_SECONDS = 2.0  # for a host, whatever its name server, addresses and proxies do
_answers: dict[str, bool] = {}  # address of a file → whether it is there; place of a host → False where nobody answers


def folder(settings: Settings) -> Path:
    """Where checked archives wait until every program is taken out of them."""
    return settings.cache / "downloads"


def forget() -> None:
    """Ask the network anew: what was out of reach an hour ago may not be now."""
    _answers.clear()


def clean(settings: Settings) -> None:
    """Remove the archives."""
    shutil.rmtree(folder(settings), ignore_errors=True)


def address(settings: Settings, url: str) -> str:
    """Where a file is fetched: its official place, or the same path on the mirror that the user names."""
    if settings.downloads.startswith("http"):
        parts = urlsplit(url)
        return f"{settings.downloads.rstrip('/')}/{parts.netloc}{parts.path}"
    return url


def reachable(settings: Settings, program: Program) -> bool:
    """Whether the official file is there. A host that does not answer is asked once only, for two seconds."""
    url = program.official()
    if not url or settings.downloads == "off":
        return False
    place, file = address(settings, f"https://{urlsplit(url).netloc}/"), address(settings, url)
    if _answers.get(place, True) and file not in _answers:
        said = status(file)
        _answers[file] = 200 <= said < 400  # a redirect to where the files lie is as good
        _answers[place] = _answers[file] or said == 404  # anything else is somebody in between, such as a dead proxy
    return _answers.get(place, True) and _answers[file]


def status(url: str) -> int:
    """The HTTP status of an address; 0 where none came within two seconds."""
    import requests

    seen: list[int] = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            answer = requests.head(url, timeout=PROBE_SECONDS, proxies=_proxies(url))
            seen.append(answer.status_code)

    # In a thread: the timeout of requests counts for each address, and for the name server not at all.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return seen[0] if seen else 0


def _proxies(url: str) -> dict[str, str]:
    """A mirror on this machine is asked straight: an inherited proxy knows nothing of it."""
    host = urlsplit(url).hostname or ""
    return {"no_proxy": host} if host == "localhost" or host.startswith("127.") else {}


def fetch(settings: Settings, program: Program, target: Path, show: Callable[[float], None]) -> str:
    """Fetch the official program to `target`; the address it came from.

    Args:
        show: called now and then with how much is here, 0 to 1.

    Raises:
        ProgramError: it could not be fetched, or its checksum is not the published one.
    """
    import requests

    url = address(settings, program.official())
    try:
        want = program.sha256.get("/".join(machine())) or _published(url + program.published)
        archive = folder(settings) / want
        if not (archive.is_file() and digest(archive) == want):
            _get(url, archive, show)
        if (found := digest(archive)) != want:
            archive.unlink()
            raise ProgramError(
                f"{program.name}: the file from {url} is not the published one.", f"SHA-256 {found}, not {want}."
            )
        _unpack(program, archive, target)
        return url
    except (requests.RequestException, OSError, tarfile.TarError, KeyError, IndexError) as error:
        raise ProgramError(f"{program.name} could not be downloaded.", f"{url}: {error}.") from None


def _get(url: str, target: Path, show: Callable[[float], None]) -> None:
    import requests

    part = target.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with requests.get(url, stream=True, timeout=30, proxies=_proxies(url)) as answer:
        answer.raise_for_status()
        size, got = int(answer.headers.get("Content-Length", 0)), 0
        with part.open("wb") as file:
            for chunk in answer.iter_content(1 << 20):
                file.write(chunk)
                got += len(chunk)
                show(min(1.0, got / size) if size else 0.5)
    part.replace(target)


def _published(url: str) -> str:
    import requests

    answer = requests.get(url, timeout=10, proxies=_proxies(url))
    answer.raise_for_status()
    if not (found := re.match(r"[0-9a-f]{64}\b", answer.text.strip().lower())):
        raise KeyError(f"no SHA-256 in {url}")
    return found[0]


def _unpack(program: Program, archive: Path, target: Path) -> None:
    if not program.member:
        archive.replace(target)
        return
    system, arch = machine()
    with tarfile.open(archive) as box:
        member = box.extractfile(program.member.format(os=system, arch=arch))
        if member is None:
            raise KeyError(program.member)
        with target.open("wb") as file:
            shutil.copyfileobj(member, file)
