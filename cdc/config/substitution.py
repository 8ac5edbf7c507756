"""`${VAR}`, `${VAR:default}` and `${file:PATH}` in a scalar; `$${` stands for `${` itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SECRET_FILE_BYTES_MAX = 64 * 1024

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Substituted:
    """A scalar's final text; `values` are the pieces that must never be shown."""

    text: str
    values: tuple[str, ...]
    is_whole: bool
    """The scalar was one `${…}` and nothing else."""
    faults: tuple[str, ...]


def substitute(raw: str, environment: Mapping[str, str], folder: Path) -> Substituted:
    """The text with every placeholder replaced; what can't be replaced is a fault."""
    values: list[str] = []
    faults: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            faults.append('"${" without its "}"; write "$${" for the two characters themselves')
            return ""
        value, fault, is_outside = _value(match[1], environment, folder)
        if fault:
            faults.append(fault)
        if is_outside:
            values.append(value)
        return value

    text = _PLACEHOLDER.sub(replace, raw)
    match = _PLACEHOLDER.fullmatch(raw)
    is_whole = match is not None and match[1] is not None
    return Substituted(text, tuple(v for v in values if v), is_whole, tuple(faults))


def without_defaults(raw: str) -> str:
    """The placeholders alone, `${PASSWORD}` for `${PASSWORD:hunter2}`; `***` for any other text."""
    match = _PLACEHOLDER.fullmatch(raw)
    if match is None or match[1] is None:
        return "***"
    name, colon, rest = match[1].partition(":")
    return f"${{file:{rest}}}" if colon and name == "file" else f"${{{name}}}"


def _value(inside: str, environment: Mapping[str, str], folder: Path) -> tuple[str, str, bool]:
    """(value, fault, whether it came from outside the file)."""
    name, colon, default = inside.partition(":")
    if name == "file" and colon:
        value, fault = _file(default, folder)
        return value, fault, True
    if not _NAME.match(name):
        return "", "a placeholder that is none of ${VAR}, ${VAR:default}, ${file:PATH}", False
    if re.match(r"-[^0-9]", default):
        # The shell's and compose's spelling; taken literally it would give "-localhost".
        return "", f'the default of ${{{name}:…}} begins with "-"; write ${{{name}:default}}', False
    if name in environment:
        return environment[name], "", True
    if colon:
        return default, "", False
    fix = f"set it, or give a default: ${{{name}:default}}"
    return "", f"the environment variable {name} is not set; {fix}", False


def _file(name: str, folder: Path) -> tuple[str, str]:
    path = folder / name
    try:
        with path.open("rb") as file:
            data = file.read(SECRET_FILE_BYTES_MAX + 1)
        if len(data) > SECRET_FILE_BYTES_MAX:
            return "", f"the file {path} is larger than {SECRET_FILE_BYTES_MAX} bytes"
        # Editors and `echo` end a file with a newline that is no part of a password.
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r"), ""
    except UnicodeDecodeError:
        return "", f"the file {path} is not UTF-8 text"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        return "", f"can't read the file {path}: {reason}"
