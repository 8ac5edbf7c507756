"""The ways to come by a server, tried in order, and what is said when none is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from cdc.errors import CdcError

S = TypeVar("S")
Way = tuple[str, Callable[[], S]]


class WayClosed(CdcError):
    """One way to a server isn't open on this machine; the message is the reason."""


class ServiceUnavailable(CdcError):
    """No way to a server is open; the message gives the reason for each."""


class ServiceFailed(CdcError):
    """A server was there, or was started, and doesn't answer."""


def first_open(label: str, variable: str, ways: Sequence[Way[S]]) -> S:
    """What the first open way gives; ServiceUnavailable with every reason if none is."""
    reasons: list[str] = []
    for way, attempt in ways:
        try:
            return attempt()
        except WayClosed as closed:
            reasons.append(f"{way}: {closed.message}")
    listed = "".join(f"\n  {reason}" for reason in reasons)
    raise ServiceUnavailable(
        f"looked for {label} and found none{listed}",
        hint=f"set {variable} to the address of a running server, or start a Docker engine",
    )
