"""The package as it is on a machine without a C compiler: a copy without what was compiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import cdc
from tests.connectors import Project

COMPILED = ("*.so", "*.pyd", "*.c", "__pycache__")


def plain_form(folder: Path) -> dict[str, str]:
    """The environment variables with which `cdc` runs in its plain form."""
    shutil.copytree(
        Path(str(cdc.__file__)).parent,
        folder / "cdc",
        ignore=shutil.ignore_patterns(*COMPILED),
        dirs_exist_ok=True,
    )
    variables = {"PYTHONPATH": str(folder)}
    version = Project(folder, variables).run("--version").stdout
    if "plain" not in version:
        raise RuntimeError(f"{folder} should hold the plain form, and says: {version}")
    return variables
