"""What is wrong with a connector file: each fault with its place and its fix, all at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdc.errors import ConfigError

YamlPath = tuple[str | int, ...]

FAULTS_SHOWN_MAX = 50


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, where, and what is allowed instead."""

    file: Path
    line: int
    path: YamlPath
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return ": ".join(part for part in (place, dotted(self.path), self.text) if part)


class ConfigFaults(ConfigError):  # it is its faults; the base says Error
    """A connector file that can't be used, with all its faults."""

    def __init__(self, file: Path, faults: Sequence[Fault]) -> None:
        ordered = sorted(faults, key=lambda fault: (fault.line, dotted(fault.path), fault.text))
        self.faults = tuple(dict.fromkeys(ordered))
        count = len(self.faults)
        lines = [f"  {fault}" for fault in self.faults[:FAULTS_SHOWN_MAX]]
        if count > FAULTS_SHOWN_MAX:
            lines.append(f"  and {count - FAULTS_SHOWN_MAX} more")
        title = f"can't use the connector file {file}: {count} fault{'s' * (count != 1)}"
        super().__init__("\n".join([title, *lines]))


def dotted(path: YamlPath) -> str:
    """`streams[0].events[1].on`."""
    text = ""
    for element in path:
        if isinstance(element, int):
            text += f"[{element}]"
        else:
            text += f".{element}" if text else element
    return text


def nearest(name: str, allowed: Collection[str]) -> str:
    """`; did you mean "port"?`, or nothing where no name is near."""
    found = difflib.get_close_matches(name.lower(), list(allowed), n=1)
    return f'; did you mean "{found[0]}"?' if found else ""
