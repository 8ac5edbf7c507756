"""What the commands have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import rich_click as click

EXIT_FAILED, EXIT_USAGE = 1, 2
FILE = click.Path(exists=False, dir_okay=False, path_type=Path)


def example(text: str) -> str:
    return f"Example: {text}"


def load_config(file: Path, stages: tuple[Any, ...] = ()) -> Any:
    """The configuration in the file, all of it checked."""
    from cdc.capture.settings import parse_settings
    from cdc.config import load

    validators = {"change_events": lambda section: parse_settings(section)[1]}
    return load(file, os.environ, stages=stages, validators=validators)
