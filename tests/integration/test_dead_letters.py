"""Rows that can't be published, on real servers: kept apart once, whatever stops in between."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdc.dead_letters import DeadLetter
from cdc.wiring.dead_letters import read_dead_letters
from cdc.wiring.ends import open_log
from tests.connectors import Section, kafka_log, revisions, wait_until
from tests.services_plugin import FreshDatabase
from tests.shop import Shop, new_shop

SECRET = "s3cret-of-the-customer"
OPTIONS: Section = {
    "on_substitution": "dead_letter",
    "column.exclude.list": r".*\.orders\.customer",
    "column.mask.with.3.chars": r".*\.orders\.note",
}
KEPT: Section = {
    "left_out_columns": "dead_letter",
    "statement_rows": "dead_letter",
    "later_records": "pass",
}


@pytest.fixture(params=["embedded", "kafka"])
def sections(request: pytest.FixtureRequest) -> Section:
    """The log and the registry."""
    if request.param == "embedded":
        return {}
    address = request.getfixturevalue("kafka_address")
    registry = request.getfixturevalue("registry_url")
    return {"log": kafka_log(address), "registry": {"url": registry}}


def shop_of(tmp_path: Path, database: FreshDatabase, sections: Section, **more: Any) -> Shop:
    dead: Section = {**KEPT, **more}
    return new_shop(
        tmp_path,
        database,
        change_events=OPTIONS,
        dead_letters=dead,
        streams=[],
        views=[],
        **sections,
    )


def letters_of(made: Shop) -> list[DeadLetter]:
    config = made.project.load(made.file)
    with closing(open_log(config)) as log:
        return list(read_dead_letters(config, log).values())


def orders(made: Shop) -> list[int]:
    """The orders whose change events are there."""
    changes = [one["value"] for one in made.changes() if one["value"] is not None]
    return [(one["after"] or one["before"])["id"] for one in changes]


def insert(*numbers: int, poison: tuple[int, ...] = ()) -> str:
    """One statement; a zero date is what Avro can't hold."""
    rows = (
        f"({i}, '{SECRET}', {i}, null, '{0 if i in poison else 2026:04}-0{0 if i in poison else 1}-"
        f"0{0 if i in poison else 1}', null, 0, '{SECRET}')"
        for i in numbers
    )
    return f"insert into orders values {', '.join(rows)}"


def write(database: FreshDatabase, *statements: str) -> None:
    with (
        database.connect(init_command="set sql_mode = ''") as connection,
        connection.cursor() as cursor,
    ):
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def test_poison_rows_are_kept_apart_once_through_restarts(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections)
    run = ("run", made.file, "--stage", "capture")
    with made.project.started(*run) as child:
        child.wait_running()
        write(mysql_database, insert(1, 2, 3, poison=(2,)))
        wait_until(lambda: orders(made) == [1, 3], lambda: f"{orders(made)} {child.said}")
        child.wait_said("dead letter ")
        child.kill()
    write(mysql_database, insert(4, 5, 6, 7, poison=(5, 6)))
    with made.project.started(*run) as child:
        wait_until(lambda: orders(made) == [1, 3, 4, 7], lambda: f"{orders(made)} {child.said}")
        child.wait_said("dead letters are kept")
        status = made.project.run("status", made.file).stdout
        assert "dead=2" in status
        child.kill()
    with made.project.started(*run) as child:
        write(mysql_database, insert(8))
        wait_until(lambda: orders(made)[4:] == [8], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    letters = letters_of(made)
    assert [one.coordinates["ordinal"] for one in letters] == [2, 2, 3]
    assert {one.kind for one in letters} == {"substitution"}
    assert all("column placed_at of" in one.reason for one in letters)
    assert len({one.id for one in letters}) == 3
    assert len(made_records(made)) == 3  # nothing was written twice


def made_records(made: Shop) -> list[Any]:
    """All that was ever written to the topic."""
    config = made.project.load(made.file)
    with closing(open_log(config)) as log:
        return list(log.follow(f"{made.name}.dead_letters", {}, wait_seconds=0))


def test_hidden_columns_are_in_no_byte_of_a_dead_letter(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections)
    with made.project.started("run", made.file, "--stage", "capture") as child:
        child.wait_running()
        write(
            mysql_database,
            insert(1, 2, poison=(1,)),
            f"update orders set total = 9, placed_at = 0, customer = '{SECRET}' where id = 2",
            "set binlog_row_image = 'MINIMAL'",
            f"update orders set total = 8, note = concat(note, '{SECRET}') where id = 1",
            "set binlog_row_image = 'FULL'",
            insert(3),
        )
        wait_until(lambda: orders(made) == [2, 3], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
        assert SECRET not in child.said
    letters = letters_of(made)
    kinds = [one.kind for one in letters]
    assert kinds == ["substitution", "substitution", "left_out_columns"]
    for letter in letters:
        assert letter.raw
        assert all(SECRET.encode() not in part for part in letter.raw.values())
    values = [message.value for message in made_records(made)]
    assert len(values) == 3
    assert not [one for one in values if SECRET.encode() in one]


def test_at_the_limit_it_stops_and_loses_nothing(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections, count_max=2)
    run = ("run", made.file, "--stage", "capture")
    with made.project.started(*run) as child:
        child.wait_running()
        write(mysql_database, insert(1, 2, poison=(1, 2)))
        wait_until(lambda: len(letters_of(made)) == 2, lambda: child.said)
        write(mysql_database, insert(3, 4, 5, poison=(4,)))
        assert child.wait() == 1
        assert "dead_letters.count_max" in child.said
    with made.project.started(*run) as child:
        assert child.wait() == 1
        assert "2 dead letters are kept" in child.said
    assert len(letters_of(made)) == 2
    config = made.file.read_text().replace('"count_max": 2', '"count_max": 3')
    made.file.write_text(config)
    with made.project.started(*run) as child:
        wait_until(lambda: orders(made) == [3, 5], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    assert len(letters_of(made)) == 3


def test_a_statement_that_should_have_been_rows_is_kept_by_its_place(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections)
    with made.project.started("run", made.file, "--stage", "capture") as child:
        child.wait_running()
        write(mysql_database, "set binlog_format = 'STATEMENT'", insert(1))
        write(mysql_database, insert(2))
        wait_until(lambda: orders(made) == [2], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    (letter,) = letters_of(made)
    assert (letter.kind, letter.raw, letter.length > 50) == ("statement_rows", {}, True)
    assert SECRET.encode() not in letter.to_bytes()


# Tried again


def redrive(made: Shop, *names: str, code: int = 0) -> str:
    """What the command says."""
    ended = made.project.run("dead", "redrive", made.file, *(names or ("--all",)), code=code)
    return ended.stdout + ended.stderr


def edit(made: Shop, old: str, new: str) -> None:
    text = made.file.read_text()
    assert old in text
    made.file.write_text(text.replace(old, new))


def test_a_row_is_redriven_once_the_cause_is_mended(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections)
    run = ("run", made.file, "--stage", "capture")
    with made.project.started(*run) as child:
        child.wait_running()
        write(
            mysql_database,
            insert(1, 2, 3, poison=(2,)),
            "update orders set total = 22 where id = 2",
        )
        wait_until(lambda: len(letters_of(made)) == 2, lambda: child.said)
        assert f"connector {made.name} runs" in redrive(made, code=1)
        assert child.stop() == 0
    assert "holds a value that its Avro type can't" in redrive(made, code=1)
    assert [one.attempt for one in letters_of(made)] == [2, 2]
    edit(made, '"on_substitution": "dead_letter"', '"on_substitution": "count"')
    assert redrive(made).count("redriven ") == 2
    assert letters_of(made) == []
    with made.project.started(*run) as child:
        write(mysql_database, insert(4))
        wait_until(lambda: 4 in orders(made), lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    assert orders(made) == [1, 3, 2, 2, 4]
    changes = made.changes()
    rises = revisions(changes)
    assert rises == sorted(set(rises))
    assert len({one["headers"]["cdc_id"] for one in changes}) == 5
    assert [one["value"]["op"] for one in changes] == ["c", "c", "c", "u", "c"]
    assert SECRET not in str(changes)


def test_a_row_with_a_newer_change_of_its_key_stays(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections)
    with made.project.started("run", made.file, "--stage", "capture") as child:
        child.wait_running()
        write(
            mysql_database,
            insert(1, 2),
            "update orders set placed_at = 0 where id = 1",
            "update orders set placed_at = '2026-02-02' where id = 1",  # from what can't be held
            "update orders set total = 5 where id = 1",
            "update orders set placed_at = 0 where id = 2",
        )
        wait_until(lambda: len(letters_of(made)) == 3, lambda: child.said)
        assert child.stop() == 0
    edit(made, '"on_substitution": "dead_letter"', '"on_substitution": "count"')
    said = redrive(made, code=1)
    assert said.count("a newer change of its key has gone out") == 2
    assert said.count("redriven ") == 1
    assert orders(made) == [1, 2, 1, 2]
    assert len(letters_of(made)) == 2
    made.project.run("dead", "drop", made.file, "--all")
    assert letters_of(made) == []


def test_a_record_too_large_for_kafka_is_kept_apart(
    tmp_path: Path, mysql_database: FreshDatabase, kafka_address: str, registry_url: str
) -> None:
    made = new_shop(
        tmp_path,
        mysql_database,
        log=kafka_log(kafka_address),
        registry={"url": registry_url},
        dead_letters={"oversized_record": "dead_letter", "later_records": "pass"},
        streams=[],
        views=[],
    )
    with made.project.started("run", made.file, "--stage", "capture") as child:
        child.wait_running()
        write(mysql_database, insert(1))
        large = insert(2).replace(f"'{SECRET}')", "repeat('y', 12000000))")
        write(mysql_database, large, insert(3))
        wait_until(lambda: orders(made) == [1, 3], lambda: f"{orders(made)} {child.said}")
        write(mysql_database, "update orders set note = null where id = 2", insert(4))
        wait_until(lambda: orders(made) == [1, 3, 4], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    first, second = letters_of(made)
    assert (first.kind, second.kind) == ("oversized_record", "oversized_record")
    assert first.length > 12_000_000
    assert first.raw == {}
    assert "isn't kept" in redrive(made, code=1)


# Translate


def noted_shop(
    tmp_path: Path, database: FreshDatabase, sections: Section, on: str, **more: Any
) -> Shop:
    """Its one event can't do without a note."""
    made = new_shop(tmp_path, database, dead_letters={"rule": "dead_letter", **more}, **sections)
    rule = {"event": "OrderNoted", "from": f"{database.name}.orders", "on": on.split(),
            "fields": {"note": "note"}}  # fmt: skip
    stream = {"stream": made.name, "major": 1, "key": {"order_id": "id"}, "events": [rule]}
    config = {**json.loads(made.file.read_text()), "streams": [stream], "views": []}
    made.project.write(config)
    made.project.write_schema(made.name, "OrderNoted", {"order_id": "long", "note": "string"})
    return made


def notes(made: Shop) -> list[tuple[int, Any]]:
    return [(one["key"]["order_id"], one["value"]["note"]) for one in made.events()]


def test_a_change_that_a_rule_does_not_fit_is_kept_and_redriven(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = noted_shop(tmp_path, mysql_database, sections, "insert", later_records="pass")
    run = ("run", made.file, "--stage", "capture,translate")
    without = "update orders set note = null"
    with made.project.started(*run) as child:
        child.wait_running(2)
        nothing = insert(2, 4).replace(f"'{SECRET}')", "null)")
        write(mysql_database, insert(1), nothing, insert(3), without)
        wait_until(lambda: len(notes(made)) == 2, lambda: f"{notes(made)} {child.said}")
        child.kill()
    with made.project.started(*run) as child:
        write(mysql_database, "delete from orders where id = 4", insert(4))
        wait_until(lambda: len(notes(made)) == 3, lambda: f"{notes(made)} {child.said}")
        assert "dead=2" in made.project.run("status", made.file).stdout or "kept" in child.said
        assert child.stop() == 0
    assert [key for key, _ in notes(made)] == [1, 3, 4]
    letters = letters_of(made)
    assert [(one.stage, one.kind) for one in letters] == [("translate", "rule")] * 2
    assert len(made_records(made)) == 2
    assert "can't translate a change" in redrive(made, code=1)
    mended = {"order_id": "long", "note": ["null", "string"]}
    made.project.write_schema(made.name, "OrderNoted", mended)
    said = redrive(made, code=1)
    assert said.count("redriven ") == 1
    assert said.count("a newer change of its key has gone out") == 1
    assert notes(made)[3:] == [(2, None)]
    assert [one.id.endswith("/2/translate") for one in letters_of(made)] == [True]


# Held back


def kinds(made: Shop) -> list[str]:
    return [one.kind for one in letters_of(made)]


def update(number: int, total: int, day: str = "") -> str:
    said = f", placed_at = '{day}'" if day else ""
    return f"update orders set total = {total}{said} where id = {number}"


def totals(made: Shop, number: int) -> list[str]:
    """What the changes of an order say, in their order."""
    changes = [one["value"] for one in made.changes() if one["value"] is not None]
    of_order = [one for one in changes if (one["after"] or one["before"])["id"] == number]
    return [f"{one['op']} {one['after']['total'] if one['after'] else ''}" for one in of_order]


def test_later_changes_of_a_key_wait_through_restarts_and_a_takeover_and_go_out_in_order(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections, later_records="hold")
    run = ("run", made.file, "--stage", "capture")
    with made.project.started(*run) as child:
        child.wait_running()
        write(mysql_database, insert(1, 2, 3), update(2, 20, "0000-00-00"), update(2, 21))
        write(mysql_database, update(1, 11))
        wait_until(lambda: orders(made) == [1, 2, 3, 1], lambda: f"{orders(made)} {child.said}")
        child.kill()
    write(mysql_database, update(2, 22, "2026-03-03"), "update orders set id = 9 where id = 2")
    with made.project.started(*run) as child:
        child.wait_running()
        with made.project.started(*run) as second:
            second.wait_said("standby  ")
            write(mysql_database, update(9, 90), update(1, 12))
            wait_until(lambda: orders(made)[4:] == [1], lambda: f"{orders(made)} {child.said}")
            child.kill()
            write(mysql_database, update(9, 91), "delete from orders where id = 3", insert(2))
            wait_until(lambda: orders(made)[5:] == [3], lambda: f"{orders(made)} {second.said}")
            wait_until(lambda: len(letters_of(made)) == 7, lambda: str(kinds(made)))
            assert second.stop() == 0
    assert kinds(made) == ["substitution"] + ["held"] * 6
    said = redrive(made, code=1)
    assert "holds a value that its Avro type can't" in said
    assert said.count("held behind dead letter") == 6
    assert [one.attempt for one in letters_of(made)] == [2] + [1] * 6
    edit(made, '"on_substitution": "dead_letter"', '"on_substitution": "count"')
    of_last = letters_of(made)[-1].id
    assert redrive(made, of_last).count("redriven ") == 7, "all that share its keys, in order"
    assert letters_of(made) == []
    with made.project.started(*run) as child:
        write(mysql_database, update(9, 92), update(2, 23))
        wait_until(lambda: totals(made, 2)[-1:] == ["u 23.00"], lambda: child.said)
        assert child.stop() == 0
    assert totals(made, 2) == [
        "c 2.00", "u 20.00", "u 21.00", "u 22.00", "d ", "c 2.00", "u 23.00",
    ]  # fmt: skip
    assert totals(made, 9) == ["c 22.00", "u 90.00", "u 91.00", "u 92.00"]
    changes = [one for one in made.changes() if one["value"] is not None]
    assert len({tuple(one) for one in revisions(changes)}) == len(changes) == 16


def test_what_waited_behind_a_dropped_one_stays_until_it_is_redriven(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections, later_records="hold")
    run = ("run", made.file, "--stage", "capture")
    with made.project.started(*run) as child:
        child.wait_running()
        write(mysql_database, insert(1, 2, poison=(2,)), update(2, 21, "2026-03-03"), update(1, 11))
        wait_until(lambda: orders(made) == [1, 1], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    first, second = letters_of(made)
    said = made.project.run("dead", "drop", made.file, first.id).stdout
    assert f"dropped {first.id}" in said
    assert "1 of their keys stay" in said
    with made.project.started(*run) as child:
        write(mysql_database, update(2, 22), update(1, 12))
        wait_until(lambda: orders(made)[2:] == [1], lambda: f"{orders(made)} {child.said}")
        assert child.stop() == 0
    assert [one.id for one in letters_of(made)][:1] == [second.id]
    # The row before the second change is what the first one couldn't say.
    edit(made, '"on_substitution": "dead_letter"', '"on_substitution": "count"')
    assert redrive(made).count("redriven ") == 2
    assert totals(made, 2) == ["u 21.00", "u 22.00"]


def test_one_more_than_may_wait_stops_it_and_nothing_is_lost(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = shop_of(tmp_path, mysql_database, sections, later_records="hold", held_max=1)
    run = ("run", made.file, "--stage", "capture")
    with made.project.started(*run) as child:
        child.wait_running()
        write(mysql_database, insert(1, 2, poison=(2,)), update(2, 21, "2026-03-03"))
        wait_until(lambda: len(letters_of(made)) == 2, lambda: child.said)
        write(mysql_database, update(2, 22))
        assert child.wait() == 1
        assert "dead_letters.held_max" in child.said
    with made.project.started(*run) as child:
        assert child.wait() == 1
        assert "1 records are held back" in child.said
    edit(made, '"on_substitution": "dead_letter"', '"on_substitution": "count"')
    assert redrive(made).count("redriven ") == 2
    with made.project.started(*run) as child:
        wait_until(lambda: len(totals(made, 2)) == 3, lambda: child.said)
        assert child.stop() == 0
    assert totals(made, 2) == ["c 2.00", "u 21.00", "u 22.00"]


def test_events_of_a_key_wait_and_go_out_in_order(
    tmp_path: Path, mysql_database: FreshDatabase, sections: Section
) -> None:
    made = noted_shop(tmp_path, mysql_database, sections, "insert update")
    run = ("run", made.file, "--stage", "capture,translate")

    def note(number: int, said: str) -> str:
        return f"update orders set note = {said} where id = {number}"

    with made.project.started(*run) as child:
        child.wait_running(2)
        write(mysql_database, insert(1, 2), note(2, "null"), note(2, "'a'"), note(1, "'b'"))
        wait_until(lambda: len(notes(made)) == 3, lambda: f"{notes(made)} {child.said}")
        wait_until(lambda: kinds(made) == ["rule", "held"], lambda: child.said)
        child.kill()
    with made.project.started(*run) as child:
        write(mysql_database, note(2, "'c'"), note(1, "'d'"))
        wait_until(lambda: len(notes(made)) == 4, lambda: f"{notes(made)} {child.said}")
        wait_until(lambda: kinds(made) == ["rule", "held", "held"], lambda: child.said)
        assert child.stop() == 0
    mended = {"order_id": "long", "note": ["null", "string"]}
    made.project.write_schema(made.name, "OrderNoted", mended)
    assert redrive(made).count("redriven ") == 3
    said = [text for number, text in notes(made) if number == 2]
    assert said == [SECRET, None, "a", "c"]
    assert letters_of(made) == []


def test_where_they_pass_a_row_of_a_table_that_was_truncated_since_is_refused(
    tmp_path: Path, mysql_database: FreshDatabase
) -> None:
    made = shop_of(tmp_path, mysql_database, {})
    edit(made, '"on_substitution"', '"skipped.operations": "none",\n  "on_substitution"')
    with made.project.started("run", made.file, "--stage", "capture") as child:
        child.wait_running()
        write(mysql_database, insert(1, 2, poison=(2,)), "truncate table orders")
        wait_until(lambda: len(made.changes()) == 2, lambda: child.said)
        assert child.stop() == 0
    edit(made, '"on_substitution": "dead_letter"', '"on_substitution": "count"')
    assert "a newer change of its key has gone out" in redrive(made, code=1)
