"""Server packages of Debian, unpacked into a folder of the cache; the system stays untouched."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdc.services.cache import kept
from cdc.services.command import run
from cdc.services.progress import tell
from cdc.services.ways import WayClosed

APT_FOLDER = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
UPDATE_SECONDS_MAX = 300.0
DOWNLOAD_SECONDS_MAX = 900.0
UNPACK_SECONDS_MAX = 120.0

_ONE_LINE = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>.+)$")


@dataclass(frozen=True)
class AptSource:
    """One address that the machine's apt reads, and one suite there."""

    uri: str
    suite: str
    components: tuple[str, ...]


@dataclass(frozen=True)
class Root:
    """A folder with unpacked packages, whose programs run by its own loader and libraries."""

    folder: Path

    def command(self, program: str) -> list[str]:
        """How to start a program of the root: its libc may be newer than the machine's."""
        loaders = sorted(self.folder.glob("usr/lib/*/ld-linux-*.so.*"))
        loaders += sorted(self.folder.glob("lib/*/ld-linux-*.so.*"))
        assert loaders, f"no loader below {self.folder}"
        libraries = [
            *self.folder.glob("usr/lib/*-linux-gnu*"),
            *self.folder.glob("usr/lib/*-linux-gnu*/private"),
            *self.folder.glob("lib/*-linux-gnu*"),
            *self.folder.glob("usr/lib/mysql/private"),
        ]
        path = ":".join(str(library) for library in libraries)
        return [str(loaders[0]), "--library-path", path, str(self.folder / program)]


def unpacked(name: str, *, suite: str, packages: Sequence[str], size: str) -> Root:
    """The root of the packages, downloaded the first time; WayClosed if this isn't Debian."""

    def fetch(folder: Path) -> None:
        uri = mirror(machine_sources(), codename(OS_RELEASE))
        tell(f"getting {' and '.join(packages)} of Debian {suite} ({size}) …")
        _download(folder / "apt", f"deb [signed-by={KEYRING}] {uri} {suite} main", packages)
        root = folder / "root"
        root.mkdir()
        for package in sorted((folder / "apt").glob("cache/archives/*.deb")):
            run(
                ["dpkg", "-x", str(package), str(root)],
                doing=f"unpacking {package.name}",
                seconds_max=UNPACK_SECONDS_MAX,
            )
        shutil.rmtree(folder / "apt")

    return Root(kept(name, fetch) / "root")


def codename(os_release: Path) -> str:
    """The suite of this Debian; WayClosed on another system."""
    text = os_release.read_text() if os_release.exists() else ""
    said: dict[str, str] = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    if said.get("ID") != "debian" or "VERSION_CODENAME" not in said:
        raise WayClosed("this system isn't Debian, whose packages are needed")
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise WayClosed(f"there is no {tool} on PATH")
    if not KEYRING.exists():
        raise WayClosed(f"there is no {KEYRING} (package debian-archive-keyring)")
    return said["VERSION_CODENAME"]


def mirror(sources: Iterable[AptSource], suite: str) -> str:
    """The address that the machine's apt reads its own suite from."""
    for source in sources:
        if source.suite == suite and "main" in source.components:
            return source.uri
    raise WayClosed(f"the apt sources of this machine name no mirror of {suite}")


def machine_sources(folder: Path = APT_FOLDER) -> list[AptSource]:
    """All sources of the machine's apt, of both file formats."""
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    found: list[AptSource] = []
    for file in files:
        if file.suffix == ".list" and file.is_file():
            found += parse_one_line(file.read_text())
        elif file.suffix == ".sources" and file.is_file():
            found += parse_deb822(file.read_text())
    return found


def parse_one_line(text: str) -> Iterator[AptSource]:
    """Sources of a `.list` file: `deb [options] URI SUITE COMPONENT…`."""
    for line in text.splitlines():
        if matched := _ONE_LINE.match(line.partition("#")[0].strip()):
            parts = tuple(matched["parts"].split())
            yield AptSource(matched["uri"].rstrip("/"), matched["suite"], parts)


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Sources of a `.sources` file: stanzas of `Field: value`, values may go on in next lines."""
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"])[:1] == ["no"]:
            continue
        for uri in fields.get("uris", []):
            for suite in fields.get("suites", []):
                yield AptSource(uri.rstrip("/"), suite, tuple(fields.get("components", [])))


def _fields(stanza: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1].isspace():
            fields.setdefault(name, []).extend(line.split())
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.split()
    return fields


def apt_command(folder: Path, *words: str) -> list[str]:
    """apt-get with all its folders below `folder`, blind to what the system has installed."""
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Debug::NoLocking": "1",
        "APT::Install-Recommends": "false",
        # The user that apt would download as can't reach a cache in somebody's home.
        "APT::Sandbox::User": "root",
    }
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["apt-get", "-q", *settings, *words]


def _download(folder: Path, source: str, packages: Sequence[str]) -> None:
    for made in ("lists/partial", "cache/archives/partial"):
        (folder / made).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(source + "\n")
    run(
        apt_command(folder, "update"),
        doing="reading Debian's package lists",
        seconds_max=UPDATE_SECONDS_MAX,
    )
    # libc comes with its own loader, by which everything of the root is started.
    run(
        apt_command(folder, "-y", "-d", "install", *packages, "libc6"),
        doing=f"downloading {' '.join(packages)}",
        seconds_max=DOWNLOAD_SECONDS_MAX,
    )
