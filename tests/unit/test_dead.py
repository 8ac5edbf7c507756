"""`cdc dead` over an embedded log: what is kept is listed, shown and dropped."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cdc.capture.checkpoint import Checkpoint
from cdc.dead import together
from cdc.dead_letters import DeadLetter, DeadLetters, Policy, SkipRule, held_keys_of, kept
from cdc.errors import DecodeError, LogError
from cdc.held_keys import Key
from cdc.log.embedded import EmbeddedLog
from cdc.model import REVISION_HEADER, Message, Record, Revision, TopicSpec
from cdc.patterns import TablePatterns
from tests.binlogs import SOURCE, Binlog, Col, Reading
from tests.connectors import Project, wait_until
from tests.forms_plugin import plain

TOPIC = "shop.dead_letters"
COLUMNS = [
    Col(3, name="id"),
    Col(15, b"\x50\0", name="note", nullable=True, charset=45),
    Col(15, b"\x50\0", name="pin", nullable=True, charset=45),
    Col(15, b"\x50\0", name="more", nullable=True, charset=45),
]


def made(count: int) -> list[DeadLetter]:
    """Dead letters as capture makes them."""
    rows = b"".join(
        b"\x08" + struct.pack("<i", i) + b"\x03a\xff[" + b"\x02pi" for i in range(count)
    )
    log = Binlog().begin(7).table(COLUMNS).rows(0, 4, rows).commit()
    wanted = DeadLetters(Policy(frozenset(["invalid_text"])))
    options = {"column.exclude.list": r"shop\.t\.pin"}
    reading = Reading(plain(), connector="shop", dead_letters=wanted, options=options)
    return [DeadLetter.from_bytes(one.value or b"") for one in reading.first(log).records]


def project_of(tmp_path: Path, letters: Sequence[DeadLetter]) -> tuple[Project, Path]:
    project = Project(tmp_path)
    file = project.write({"connector": "shop", "log": {"kind": "embedded", "path": "shop.db"}})
    with closing(EmbeddedLog(project.load(file).log.path)) as log:  # type: ignore[union-attr]
        log.create_topics([TopicSpec(TOPIC, compacted=True)])
        with closing(log.writer("shop")) as writer:
            writer.write([Record(TOPIC, 0, one.key, one.to_bytes()) for one in letters])
    return project, file


def test_they_are_listed_for_people_and_for_scripts(tmp_path: Path) -> None:
    letters = made(2)
    project, file = project_of(tmp_path, letters)
    lines = project.run("dead", "list", file).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == [one.id for one in letters]
    assert lines[0].split("  ")[1:4] == ["capture", "invalid_text", "shop.t"]
    assert "column note of shop.t holds bytes" in lines[0]
    said = json.loads(project.run("dead", "list", file, "--json").stdout)
    assert [one["id"] for one in said["dead_letters"]] == [one.id for one in letters]


def test_none_is_no_error(tmp_path: Path) -> None:
    project = Project(tmp_path)
    file = project.write({"connector": "shop", "log": {"kind": "embedded", "path": "shop.db"}})
    assert "no dead letters" in project.run("dead", "list", file).stdout
    assert project.run("dead", "list", file, "--json").stdout == '{"dead_letters":[]}\n'


def test_one_is_shown_with_its_values_and_without_hidden_ones(tmp_path: Path) -> None:
    project, file = project_of(tmp_path, made(2))
    shown = project.run("dead", "show", file, ":7/2").stdout
    assert f"shop/{SOURCE}:7/2" in shown
    assert "after.id  01 00 00 00" in shown
    assert r"after.note  61 ff 5b  'a\\xff['" in shown
    assert "after.more  null" in shown
    assert "cut out  pin" in shown
    assert "after.pin" not in shown
    said = json.loads(project.run("dead", "show", file, ":7/2", "--json").stdout)
    assert said["coordinates"]["ordinal"] == 2


def test_a_part_of_an_id_must_say_which(tmp_path: Path) -> None:
    project, file = project_of(tmp_path, made(2))
    assert "may be 2 dead letters" in project.run("dead", "show", file, "7/", code=1).stderr
    assert "no dead letter x" in project.run("dead", "show", file, "x", code=1).stderr


def test_what_is_dropped_is_gone(tmp_path: Path) -> None:
    first, second, third = made(3)
    project, file = project_of(tmp_path, [first, second, third])
    assert project.run("dead", "drop", file, ":7/2").stdout == f"dropped {second.id}\n"
    left = project.run("dead", "list", file).stdout
    assert (first.id in left, second.id in left, third.id in left) == (True, False, True)
    project.run("dead", "drop", file, "--all")
    assert "no dead letters" in project.run("dead", "list", file).stdout
    project.run("dead", "drop", file, code=2)
    project.run("dead", "drop", file, first.id, "--all", code=2)


def test_the_last_word_on_each_counts() -> None:
    first, second = made(2)
    words = [(first.key, first.to_bytes()), (second.key, second.to_bytes()), (first.key, None)]
    messages = [Message(TOPIC, 0, i, k, v, (), 0) for i, (k, v) in enumerate(words)]
    assert kept(messages) == {second.id: second}


def test_what_an_earlier_version_wrote_holds_nothing() -> None:
    (letter,) = made(1)
    found = json.loads(letter.to_bytes())
    del found["holds"]
    assert DeadLetter.from_bytes(json.dumps(found).encode()) == letter


def test_all_that_wait_for_the_same_keys_go_together() -> None:
    """At any remove; a topic as a whole with each of its keys; a stage for itself."""
    holds: list[tuple[Key, ...]] = [
        (("a", b"1"),), (("a", b"1"), ("a", b"2")), (("a", b"2"),), (("a", b"3"),),
        (("b", b"1"),), (("b", None),), (("b", b"2"),), (),
    ]  # fmt: skip
    plain = made(len(holds))
    letters = [replace(one, holds=keys) for one, keys in zip(plain, holds, strict=True)]
    letters.append(replace(letters[0], id="t", stage="translate"))

    def found(*numbers: int) -> list[int]:
        wanted = together(letters, [letters[number] for number in numbers])
        return sorted(letters.index(one) for one in wanted)

    assert found(2) == [0, 1, 2]
    assert found(3) == [3]
    assert found(4) == found(5) == found(6) == [4, 5, 6]
    assert found(7, 3) == [3, 7]
    assert found(8) == [8]
    assert together(letters, []) == []


def test_the_first_of_a_key_is_the_earliest_change_wherever_it_stands() -> None:
    """One that was tried again stands behind those that wait for it."""
    holds = ((("a", b"1"),),)
    first, second = (replace(one, holds=holds[0]) for one in made(2))
    held = held_keys_of([second, first])
    assert [one.id for one in held.firsts([("a", b"1")])] == [first.id]
    assert [one.id for one in held.firsts([("a", None)])] == [first.id]
    assert not list(held.firsts([("a", b"2"), ("b", None)]))


def test_what_nobody_can_tell_to_be_the_newest_is_not_redriven(tmp_path: Path) -> None:
    """The records of its time are gone: a newer one of its key may have been among them."""
    (letter,) = made(1)
    project, file = project_of(tmp_path, [letter])
    config = json.loads(file.read_text())
    config["source"] = {"files": ["binlog.000001"], "tables": ["shop.*"]}
    config["registry"] = {"kind": "embedded"}
    config["topics"] = {"changes": {"partitions": 1}}
    config["change_events"] = {
        "column.exclude.list": r"shop\.t\.pin", "invalid_text": "replace",
    }  # fmt: skip
    project.write(config)
    topic = "shop.shop.t"
    start = Checkpoint("mysql", "", "", "binlog.000001", 4, sequence=9)
    with closing(EmbeddedLog(project.load(file).log.path)) as log:  # type: ignore[union-attr]
        log.create_topics([TopicSpec(topic, retention_ms=1)])
        with closing(log.writer("shop")) as writer:
            header = (REVISION_HEADER, Revision(1, 5).to_bytes())
            writer.write([Record(topic, 0, b"k", b"v", [header])], checkpoint=start.to_bytes())
        gone = "may have gone out on shop.shop.t: the records of its time are no longer there"

        def is_gone() -> bool:
            log.clean()
            return not list(log.follow(topic, {}, wait_seconds=0))

        wait_until(is_gone, "the record is still there")
        assert gone in project.run("dead", "redrive", file, "--all", code=1).stdout
        # Behind what holds its keys, nothing can have gone out.
        held = replace(letter, holds=((topic, b"\0"),))
        with closing(log.writer("shop.dead")) as writer:
            writer.write([Record(TOPIC, 0, held.key, held.to_bytes())])
        assert "redriven" in project.run("dead", "redrive", file, "--all").stdout


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"version": 2}', b'{"version": 1}'])
def test_what_is_no_dead_letter_is_refused(data: bytes) -> None:
    with pytest.raises(LogError, match="can't be read"):
        DeadLetter.from_bytes(data)


def test_a_rule_of_a_statement_goes_by_its_database() -> None:
    rule = SkipRule("r", "statement_rows", TablePatterns(("shop.*",)))
    policy = Policy(skip=(rule,))
    assert policy.rule_for("statement_rows", "shop") == rule
    assert policy.rule_for("statement_rows", "other") is None
    assert policy.rule_for("invalid_text", "shop.t") is None


def test_an_error_keeps_its_kind_of_class_at_the_limit() -> None:
    dead = DeadLetters(Policy(frozenset(["invalid_text"]), count_max=1), kept_count=1)
    (letter,) = made(1)
    with pytest.raises(DecodeError, match="count_max"):
        dead.settle("invalid_text", "shop.t", DecodeError("x"), lambda: letter)
