"""`python -m tests.fuzz.sanitized`: the compiled form under AddressSanitizer and mutations.

The modules are built in a folder of their own; the sources beside them are a copy."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
COPIED = ("cdc", "tests", "setup.py", "pyproject.toml", "README.md", "LICENSE")
# Pointers are what matters; numbers wrap on purpose where MySQL's do.
FLAGS = "-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=shift"
BUILD_SECONDS_MAX, RUN_SECONDS_MORE = 900, 300


def main() -> int:
    """0: it ran, and found nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.sanitized", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    wanted = parser.parse_args()
    libraries = [library_of(name) for name in ("libasan.so", "libubsan.so")]
    if not all(libraries):
        sys.stderr.write("there is no gcc with AddressSanitizer here: nothing was run\n")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for item in COPIED:
            copy(ROOT / item, folder / item)
        build(folder)
        return run(folder, ":".join(libraries), wanted.seconds)


def library_of(name: str) -> str:
    """The library's path; empty if gcc doesn't have it."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return ""
    said = subprocess.run([gcc, f"-print-file-name={name}"], capture_output=True, text=True)
    path = said.stdout.strip()
    return path if Path(path).is_absolute() else ""


def copy(source: Path, to: Path) -> None:
    """Sources alone: compiled modules would hide what is built here."""
    if source.is_file():
        shutil.copy(source, to)
    else:
        shutil.copytree(
            source, to, ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__", "build")
        )


def build(folder: Path) -> None:
    """The compiled modules, with every access checked."""
    environment = {
        **os.environ,
        "CDC_COMPILE_ARGUMENTS": FLAGS,
        "LDFLAGS": "-fsanitize=address,undefined",
    }
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=BUILD_SECONDS_MAX,
    )


def run(folder: Path, libraries: str, seconds: float) -> int:
    """The fuzzer's exit code; a read outside a buffer ends it with the sanitizer's own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "LD_PRELOAD": libraries,
        # Python's own pools would hide what is read behind an object.
        "PYTHONMALLOC": "malloc",
        # What Python keeps to its end is no leak.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=98",
    }
    command = [sys.executable, "-m", "tests.fuzz", "--compiled-only", "--seconds", str(seconds)]
    ended = subprocess.run(command, cwd=folder, env=environment, timeout=seconds + RUN_SECONDS_MORE)
    if ended.returncode:
        found = ROOT / ".fuzz"
        found.mkdir(exist_ok=True)
        for path in (folder / ".fuzz").glob("*"):
            shutil.copy(path, found)
        sys.stderr.write(f"found something; the input is {found}/current, or a find-* there\n")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
