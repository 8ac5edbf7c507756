"""A network namespace for the connector, whose link to the servers can be cut; only root may."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.tmpfs import NotHere

OUTSIDE, INSIDE, BITS = "10.213.77.1", "10.213.77.2", 30


@dataclass(frozen=True)
class Namespace:
    """A veth pair: one end outside, with the servers, one inside, with the connector."""

    name: str

    @property
    def outside(self) -> str:
        """The name of the outer end."""
        return f"{self.name}o"

    @property
    def inside(self) -> str:
        return f"{self.name}i"

    @property
    def command(self) -> tuple[str, ...]:
        """What runs a program inside, put before its own command."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """No packet passes, neither way, and nobody is told."""
        run(*self.command, "ip", "neigh", "replace", OUTSIDE, *NOBODY, "dev", self.inside)
        run("ip", "neigh", "replace", INSIDE, *NOBODY, "dev", self.outside)

    def cut_out(self) -> None:
        """What the connector sends is lost; what the servers send arrives."""
        run(*self.command, "ip", "neigh", "replace", OUTSIDE, *NOBODY, "dev", self.inside)

    def cut_in(self) -> None:
        """What the servers send is lost; what the connector sends arrives."""
        run("ip", "neigh", "replace", INSIDE, *NOBODY, "dev", self.outside)

    def mend(self) -> None:
        """All passes again."""
        run(*self.command, "ip", "neigh", "del", OUTSIDE, "dev", self.inside, is_sure=False)
        run("ip", "neigh", "del", INSIDE, "dev", self.outside, is_sure=False)


NOBODY = ("lladdr", "02:00:00:00:00:99", "nud", "permanent")
"""Frames for this address are delivered and taken by nobody: the network is silent."""


@contextmanager
def namespace() -> Iterator[Namespace]:
    """A fresh one for as long as the block runs."""
    if os.geteuid() != 0:
        raise NotHere("only root may make a network namespace")
    made = Namespace(f"cdc{secrets.token_hex(3)}")
    try:
        run("ip", "netns", "add", made.name)
    except (OSError, subprocess.CalledProcessError) as refused:
        raise NotHere(f"no network namespace can be made: {refused}") from refused
    try:
        run("ip", "link", "add", made.outside, "type", "veth",
            "peer", "name", made.inside, "netns", made.name)  # fmt: skip
        run("ip", "address", "add", f"{OUTSIDE}/{BITS}", "dev", made.outside)
        run("ip", "link", "set", made.outside, "up")
        inside = (*made.command, "ip")
        run(*inside, "address", "add", f"{INSIDE}/{BITS}", "dev", made.inside)
        run(*inside, "link", "set", made.inside, "up")
        run(*inside, "link", "set", "lo", "up")
        yield made
    finally:
        run("ip", "link", "del", made.outside, is_sure=False)
        run("ip", "netns", "del", made.name)


def run(*command: str, is_sure: bool = True) -> None:
    subprocess.run(command, check=is_sure, capture_output=True)
