"""Outside commands, run to their end within a bound."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cdc.services.ways import WayClosed

OUTPUT_LINES_SHOWN = 12


def run(
    argv: Sequence[str],
    *,
    doing: str,
    seconds_max: float,
    stdin: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """The command's standard output; WayClosed, with its last words, if it fails or is late."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands are our own
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=seconds_max,
            cwd=cwd,
            env=env,
            check=False,
        )
    except FileNotFoundError as missing:
        raise WayClosed(f"{doing}: there is no {argv[0]} here") from missing
    except subprocess.TimeoutExpired as late:
        raise WayClosed(f"{doing}: {argv[0]} wasn't done after {seconds_max:.0f} s") from late
    if done.returncode != 0:
        said = last_lines((done.stdout + b"\n" + done.stderr).decode(errors="replace"))
        raise WayClosed(f"{doing}: {argv[0]} ended with exit code {done.returncode}{said}")
    return done.stdout.decode(errors="replace")


def last_lines(text: str, count: int = OUTPUT_LINES_SHOWN) -> str:
    """The last lines that aren't empty, indented for an error message."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "".join(f"\n    {line}" for line in lines[-count:])
