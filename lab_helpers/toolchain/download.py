"""Official releases, where the network allows: probed quickly, checked by SHA-256, never half there."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from lab_helpers.errors import ProgramError
from lab_helpers.settings import Settings
from lab_helpers.toolchain.catalog import Program, machine
from lab_helpers.toolchain.store import digest

PROBE_SECONDS = 2.0


def address(settings: Settings, url: str) -> str:
    """Where a file is fetched: its official place, or the same path on the mirror that the user names."""
    if settings.downloads.startswith("http"):
        parts = urlsplit(url)
        return f"{settings.downloads.rstrip('/')}/{parts.netloc}{parts.path}"
    return url


def reachable(settings: Settings, program: Program) -> bool:
    """Whether the official file seems to be reachable; a host that does not answer is asked once."""
    url = program.official()
    if not url or settings.downloads == "off":
        return False
    place = address(settings, url)
    return _host_answers(place.partition("://")[0], urlsplit(place).netloc) and _there(place)


@lru_cache(maxsize=16)
def _host_answers(scheme: str, host: str) -> bool:
    import requests

    try:
        requests.head(f"{scheme}://{host}/", timeout=PROBE_SECONDS, allow_redirects=False)
        return True
    except requests.RequestException:
        return False


def _there(url: str) -> bool:
    import requests

    try:
        return requests.head(url, timeout=2 * PROBE_SECONDS, allow_redirects=True).status_code == 200
    except requests.RequestException:
        return False


def fetch(settings: Settings, program: Program, target: Path, show: Callable[[float], None]) -> str:
    """Fetch the official file to `target`; where it came from.

    Raises:
        ProgramError: it could not be fetched, or its checksum is not the published one.
    """
    import requests

    url = address(settings, program.official())
    archive = target.with_suffix(".download")
    try:
        want = program.sha256.get("/".join(machine())) or _published(url + program.published)
        with requests.get(url, stream=True, timeout=30) as answer:
            answer.raise_for_status()
            size, got = int(answer.headers.get("Content-Length", 0)), 0
            with archive.open("wb") as file:
                for chunk in answer.iter_content(1 << 20):
                    file.write(chunk)
                    got += len(chunk)
                    show(got / size if size else 0.5)
        found = digest(archive)
        if found != want:
            raise ProgramError(f"{program.name}: the file from {url} is not the published one.", f"SHA-256 {found}, not {want}")
        _unpack(program, archive, target)
        return url
    except (requests.RequestException, OSError, tarfile.TarError, KeyError) as error:
        raise ProgramError(f"{program.name} could not be downloaded.", f"{url}: {error}") from None
    finally:
        archive.unlink(missing_ok=True)


def _published(url: str) -> str:
    import requests

    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return answer.text.split()[0]


def _unpack(program: Program, archive: Path, target: Path) -> None:
    if not program.member:
        archive.replace(target)
        return
    system, arch = machine()
    with tarfile.open(archive) as box:
        member = box.extractfile(program.member.format(os=system, arch=arch))
        if member is None:
            raise KeyError(program.member)
        target.write_bytes(member.read())
