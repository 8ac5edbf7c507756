"""Run files: where the processes of a connector listen, so that `cdc status FILE` finds them.

Each process writes `<connector>.<pid>.json`: stages of one connector may run in several
processes. A file whose process no longer answers is stale, and removed by who finds it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from cdc.console import client
from cdc.errors import CdcError, Unreachable

PROBE_SECONDS = 2.0
RUN_FILE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Running:
    """One process of a connector, and where it answers."""

    connector: str
    address: str
    pid: int
    started_seconds: float


def run_folder(environment: Mapping[str, str]) -> Path:
    """`$XDG_RUNTIME_DIR/cdc`, else a folder of this user's own among the temporary files."""
    if base := environment.get("XDG_RUNTIME_DIR"):
        return Path(base) / "cdc"
    # Everybody may write there: the user's number keeps two users' folders apart.
    return Path(tempfile.gettempdir()) / f"cdc-{_user_number()}"


def announce(running: Running, environment: Mapping[str, str]) -> Path:
    """Write the run file; remove it with `withdraw` at the end."""
    folder = run_folder(environment)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_own(folder)
        path = _path(folder, running)
        # Written aside and renamed, so that a reader never sees half a file.
        partial = path.with_suffix(".partial")
        partial.write_bytes(orjson.dumps(asdict(running)))
        partial.replace(path)
    except OSError as error:
        raise CdcError(
            f"can't write the run file in {folder}: {error.strerror or error}",
            hint="set XDG_RUNTIME_DIR to a folder that this user may write",
        ) from error
    return path


def withdraw(running: Running, environment: Mapping[str, str]) -> None:
    """Remove the run file; no error if it is gone."""
    _path(run_folder(environment), running).unlink(missing_ok=True)


def find(connector: str, environment: Mapping[str, str]) -> tuple[Running, ...]:
    """The processes of this connector that answer now; stale files are removed."""
    folder = run_folder(environment)
    if not folder.is_dir():
        return ()
    _check_own(folder)
    found = []
    for path in sorted(folder.glob(f"{connector}.*.json")):
        running = _read(path)
        if running is not None and _answers(running):
            found.append(running)
        else:
            path.unlink(missing_ok=True)
    return tuple(found)


def _read(path: Path) -> Running | None:
    try:
        with path.open("rb") as file:
            return Running(**orjson.loads(file.read(RUN_FILE_BYTES_MAX)))
    except (OSError, TypeError, orjson.JSONDecodeError):
        return None


def _answers(running: Running) -> bool:
    """Whether that very process answers; its port may be another program's by now."""
    try:
        answer = client.live(running.address, PROBE_SECONDS)
    except Unreachable as error:
        # Too busy to answer in time is not gone.
        return isinstance(error.__cause__, TimeoutError)
    except CdcError:
        return False
    return answer.get("connector") == running.connector and answer.get("pid") == running.pid


def _path(folder: Path, running: Running) -> Path:
    return folder / f"{running.connector}.{running.pid}.json"


def _check_own(folder: Path) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user_number():
        raise CdcError(
            f"the folder of run files {folder} belongs to somebody else",
            hint="set XDG_RUNTIME_DIR to a folder of your own",
        )


def _user_number() -> int:
    return os.getuid()
