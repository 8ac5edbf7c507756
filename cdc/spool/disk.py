"""The calls that change the spool's folder: what passes through the seam (`ports.Seam`)."""

from __future__ import annotations

import os
from pathlib import Path

FILE_MODE = 0o600


class Disk:
    """All of them raise OSError. Nothing outlives a loss of power before `sync`, of the file for
    its content, of the folder for its names."""

    def create(self, path: Path) -> int:
        """A new, empty file, open to be written."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)

    def write(self, file: int, data: bytes | memoryview, at: int) -> int:
        """Write there; how many bytes were taken."""
        return os.pwrite(file, data, at)

    def sync(self, file: int) -> None:
        """The file is on disk, or the folder."""
        os.fsync(file)

    def truncate(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def rename(self, path: Path, name: Path) -> None:
        """Put the file in the place of another, if there is one."""
        path.replace(name)

    def remove(self, path: Path) -> None:
        """It may be gone already."""
        path.unlink(missing_ok=True)
