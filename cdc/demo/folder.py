"""The folder of a demonstration: made fresh, left behind to look at, never somebody else's."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from shlex import quote

from cdc.errors import CdcError
from cdc.services.state import State

NAME = ".demo"
_MARK = "made-by-cdc-demo"
_COPIED = ("connectors", "schemas", "order_overview.sql")


@dataclass(frozen=True, slots=True)
class DemoFolder:
    """Where a demonstration keeps its files."""

    path: Path

    @property
    def connector_file(self) -> Path:
        return self.path / "connectors" / "shop.yaml"

    @property
    def views_file(self) -> Path:
        return self.path / "data" / "views.db"

    @property
    def log_lines(self) -> Path:
        """What the pipeline says while it runs."""
        return self.path / "cdc.log"

    @property
    def environment_file(self) -> Path:
        return self.path / "environment"

    @property
    def server(self) -> Path:
        """The folder of a MySQL of our own."""
        return self.path / "mysql"

    def write_environment(self, variables: Mapping[str, str]) -> None:
        """What `shop.yaml` asks the environment for, to be sourced by a shell."""
        # It holds a password (invariant 9); nobody else may read it, from its first moment on.
        self.environment_file.touch(mode=0o600)
        lines = (f"export {name}={quote(value)}\n" for name, value in variables.items())
        self.environment_file.write_text("".join(lines))


@contextmanager
def demo_folder(parent: Path) -> Iterator[DemoFolder]:
    """A fresh folder with the example's files, held while the block runs."""
    path = parent / NAME
    mark = path / _MARK
    if path.exists() and not mark.is_file():
        raise CdcError(
            f"the demonstration keeps its files in {path}, which holds something else",
            hint="run it in another folder, or move that one away",
        )
    path.mkdir(exist_ok=True)
    with mark.open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CdcError(
                f"another demonstration runs in {path}",
                hint="end it with Ctrl-C, or run this one in another folder",
            ) from None
        _stop_left_server(path)
        _clear(path)
        for name in _COPIED:
            _copy(resources.files("cdc.demo") / name, path / name)
        try:
            yield DemoFolder(path)
        finally:
            _stop_left_server(path)  # one that was interrupted while it started


def _stop_left_server(path: Path) -> None:
    """Stop the server that a run started and had no time to stop."""
    state = State.read("mysql", path)
    if state is not None:
        carrier = state.carrier()
        carrier.kill()  # its data goes too
        carrier.remove()
        State.forget("mysql", path)


def _clear(path: Path) -> None:
    """Remove what an earlier run left."""
    for entry in path.iterdir():
        if entry.name == _MARK:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            with suppress(FileNotFoundError):
                entry.unlink()


def _copy(source: Traversable, target: Path) -> None:
    if source.is_file():
        target.write_bytes(source.read_bytes())
        return
    target.mkdir()
    for entry in source.iterdir():
        _copy(entry, target / entry.name)
