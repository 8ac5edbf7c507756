"""`cdc dead`: the dead letters of a connector, listed, shown, dropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdc.capture.dead_changes import values_of
from cdc.dead_letters import DeadLetter, dead_letters_topic
from cdc.errors import CdcError
from cdc.findings import listed
from cdc.model import Record
from cdc.ports import Log

WRITER_SUFFIX = ".dead"
"""Of the connector's name: the writer that commands use."""
SHOWN_BYTES_MAX = 4096
"""Of one value; `--json` has all."""
COLUMNS = ("id", "stage", "kind", "table", "time", "attempt", "reason")


_Held = tuple[str, str, bytes | None]
"""Stage, topic, key."""


def chosen(letters: Mapping[str, DeadLetter], names: Sequence[str]) -> list[DeadLetter]:
    """Those that are named, by their ids or by a part of it that no other has; each once."""
    return list({one.id: one for one in (_one(letters, name) for name in names)}.values())


def _one(letters: Mapping[str, DeadLetter], name: str) -> DeadLetter:
    if name in letters:
        return letters[name]
    found = [one for one in letters if name in one]
    if len(found) == 1:
        return letters[found[0]]
    if not found:
        raise CdcError(f"there is no dead letter {name}", hint="`cdc dead list` shows all")
    raise CdcError(
        f"{name} may be {len(found)} dead letters: {listed(found[:5])}", hint="write more of its id"
    )


def together(letters: Iterable[DeadLetter], found: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Those found, with all of their stage that wait for the same keys, at any remove: order is
    kept only among all of them."""
    by_key = defaultdict[_Held, list[DeadLetter]](list)
    by_topic = defaultdict[tuple[str, str], list[DeadLetter]](list)
    for letter in letters:
        for topic, key in letter.holds:
            by_key[letter.stage, topic, key].append(letter)
            by_topic[letter.stage, topic].append(letter)
    wanted = {one.id: one for one in found}
    seen: set[_Held] = set()
    ahead = list(found)
    while ahead:
        letter = ahead.pop()
        for topic, key in letter.holds:
            held = (letter.stage, topic, key)
            if held in seen:
                continue
            seen.add(held)
            whole = by_key.get((letter.stage, topic, None), [])
            near = by_topic[letter.stage, topic] if key is None else by_key[held] + whole
            ahead += [one for one in near if one.id not in wanted]
            wanted.update((one.id, one) for one in near)
    return list(wanted.values())


def drop(connector: str, log: Log, letters: Iterable[DeadLetter]) -> None:
    """Forget dead letters: they are gone for good."""
    topic = dead_letters_topic(connector)
    with closing(log.writer(f"{connector}{WRITER_SUFFIX}")) as writer:
        writer.write([Record(topic, 0, letter.key, None) for letter in letters])


def to_json(letter: DeadLetter) -> Any:
    """As it is kept, for scripts."""
    return orjson.loads(letter.to_bytes())


def show_all(letters: Sequence[DeadLetter], console: Console) -> None:
    """A table in a terminal, a line each when piped."""
    if not letters:
        console.print("no dead letters are kept")
        return
    if not console.is_terminal:
        for letter in letters:
            console.print("  ".join(_cells(letter)), markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(*COLUMNS)
    for letter in letters:
        table.add_row(*map(Text, _cells(letter)))
    console.print(table)


def show(letter: DeadLetter, console: Console) -> None:
    """All of one, its values as text where they are some."""
    for name, value in _lines(letter):
        text = Text(f"{name}  ", "bold") + Text(value, "not bold")
        console.print(text, soft_wrap=True, highlight=False)


def _lines(letter: DeadLetter) -> Iterable[tuple[str, str]]:
    yield from zip(COLUMNS, _cells(letter), strict=True)
    for name, value in letter.coordinates.items():
        yield name, str(value)
    yield "length", f"{letter.length} bytes"
    yield "digest", letter.digest
    if letter.hidden:
        yield "cut out", ", ".join(letter.hidden)
    if not letter.raw:
        yield "raw", "not kept"
    elif letter.stage == "capture":
        for image, column, value in values_of(letter):
            yield f"{image}.{column}", "null" if value is None else _readable(value)
    else:
        for name, data in letter.raw.items():
            yield name, _readable(data)


def _cells(letter: DeadLetter) -> tuple[str, ...]:
    time = datetime.fromtimestamp(letter.time_ms / 1000, UTC).isoformat(timespec="seconds")
    return (
        letter.id,
        letter.stage,
        letter.kind,
        letter.table,
        time,
        str(letter.attempt),
        letter.reason.replace("\n", " "),
    )


def _readable(data: bytes) -> str:
    """Bytes as hex, and as text if they look like some."""
    shown = data[:SHOWN_BYTES_MAX]
    text = shown.decode("utf-8", "backslashreplace")
    more = f" … {len(data)} bytes" if len(data) > len(shown) else ""
    said = f"  {text!r}" if sum(map(str.isprintable, text)) > len(text) // 2 else ""
    return f"{shown.hex(' ')}{said}{more}"
