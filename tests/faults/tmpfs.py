"""A small file system of its own, which can be filled; only root may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FILLER = "filler"


class NotHere(Exception):
    """This machine doesn't let us do it."""


@contextmanager
def tmpfs(folder: Path, megabytes: int) -> Iterator[Path]:
    """The folder as a file system of so many MB for as long as the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        raise NotHere("only root may mount a file system, and not everywhere")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, left: int = 0) -> None:
    """Leave so many bytes, or fewer."""
    with (folder / FILLER).open("wb") as file:
        while (size := shutil.disk_usage(folder).free - left) > 0:
            with suppress(OSError):  # others write meanwhile
                os.posix_fallocate(file.fileno(), 0, size)
                return


def free(folder: Path) -> None:
    """Take it back."""
    (folder / FILLER).unlink()
