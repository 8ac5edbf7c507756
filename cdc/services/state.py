"""What a run folder remembers of a server, so that a later command can stop exactly that one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdc.services.docker import Container
from cdc.services.process import Process, ProcessId
from cdc.services.ways import ServiceFailed

if TYPE_CHECKING:
    from cdc.services.server import Carrier


@dataclass(frozen=True)
class State:
    """A started server: its address and the id of what carries it."""

    kind: str
    url: str
    port: int
    folder: str
    pid: int | None = None
    started: str | None = None
    container: str | None = None

    @classmethod
    def of(cls, kind: str, url: str, carrier: Carrier, folder: Path) -> State:
        """The state of a server that was just started."""
        port = int(url.split("//")[-1].split("/")[0].rpartition(":")[2])
        if isinstance(carrier, Container):
            return cls(kind, url, port, str(folder), container=carrier.container)
        assert isinstance(carrier, Process) and carrier.running is not None
        began = carrier.running
        return cls(kind, url, port, str(folder), pid=began.pid, started=began.started)

    def carrier(self) -> Process | Container:
        """What carries the server, to ask and to stop it."""
        if self.container is not None:
            return Container(None, self.container)
        assert self.pid is not None and self.started is not None
        return Process(None, Path(self.folder) / "log", ProcessId(self.pid, self.started))

    def write(self, run_folder: Path) -> None:
        """Writes the state file, whole or not at all."""
        path = _path(self.kind, run_folder)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        # The address may hold a password.
        partial.chmod(0o600)
        partial.replace(path)

    @classmethod
    def read(cls, kind: str, run_folder: Path) -> State | None:
        """The state that was written last; None if there is none."""
        path = _path(kind, run_folder)
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as broken:
            raise ServiceFailed(
                f"read the state file {path}, which isn't one",
                hint="remove it, after ending the process that it names",
            ) from broken

    @staticmethod
    def forget(kind: str, run_folder: Path) -> None:
        """Removes the state file."""
        _path(kind, run_folder).unlink(missing_ok=True)


def _path(kind: str, run_folder: Path) -> Path:
    return run_folder / f"{kind}.json"
