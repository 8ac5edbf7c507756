"""Findings: what a check says about a configuration, with the fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

NAMES_SHOWN_MAX = 12
"""How many allowed names a hint lists before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found; an `error` stops the connector, a `warning` doesn't."""

    severity: Literal["error", "warning"]
    path: str
    """Where in the configuration: `streams[0].events[1].fields.total`."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.severity}: {self.path}: {self.message}"
        return f"{text}\n  → {self.hint}" if self.hint else text


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that forbid a start."""
    return [finding for finding in findings if finding.severity == "error"]


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint that names the nearest right name, else those that are allowed."""
    names = sorted(allowed)
    by_folded = {candidate.casefold(): candidate for candidate in names}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_folded[close[0]]!r}?"
    return f"allowed: {listed(names)}" if names else ""


def listed(names: Sequence[str]) -> str:
    """Names with commas, the tail of a long list only counted."""
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    left = len(names) - NAMES_SHOWN_MAX
    return f"{shown} and {left} more" if left > 0 else shown
