"""The section `spool:`: the binlog kept on disk while the log is away."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from cdc.config.section import ConfigPath, Section

_SIZE = re.compile(r"(?P<number>[1-9]\d{0,8})\s?(?P<unit>[KMGT]iB)\Z")
_UNIT_BYTES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
BYTES_MIN = 2**20


def size_bytes(text: str) -> int:
    """`10GiB`, `512MiB` in bytes; ValueError otherwise."""
    match = _SIZE.match(text)
    size = int(match["number"]) * _UNIT_BYTES[match["unit"]] if match else 0
    if size < BYTES_MIN:
        raise ValueError("allowed: a number with MiB, GiB or TiB, such as 10GiB")
    return size


def _check_size(text: str) -> str:
    size_bytes(text)
    return text


class SpoolSection(Section):
    """Off unless it is there."""

    path: ConfigPath
    """A folder of this connector's own, on a disk that outlives the process."""
    bytes_max: Annotated[str, AfterValidator(_check_size)] = "10GiB"
    """A full spool stops reading; nothing is lost as long as the source keeps its binlogs."""
    after_seconds: Annotated[float, Field(ge=0, le=86400)] = 30.0
    """How long the log is away before the spool begins."""
