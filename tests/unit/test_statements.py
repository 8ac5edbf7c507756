"""What is told of a statement's text, whatever the text is."""

from __future__ import annotations

import pytest

from cdc.capture.ddl import read_statement
from cdc.capture.statements import databases_in, kind_of, truncated_table


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (x'" + "a" * 4_000_000 + "')",
        "insert `a" + "``a" * 1_000_000,
        "insert `" + "`" * 1_000_001,
        "/*" + "*/ /*" * 1_000_000,
        "insert a" + " " * 4_000_000,
        "create '" + "\\'" * 500_000 + "\\",
        "create `a" + "``a" * 300_000,
        "create " + "/*" * 500_000,
        "create table t '" + "\\'" * 400_000,
    ],
    ids=[
        "long literal", "name without end", "backticks", "comments", "blanks",
        "string without end", "quoted without end", "comment without end",
        "table with a string without end",
    ],
)  # fmt: skip
def test_megabytes_of_text_are_read_once(text: str) -> None:
    """With a regex that tries each place anew it would take hours: pytest's limit ends it."""
    kind_of(text)
    databases_in(text)
    truncated_table(text, "d")
    read_statement(text, "d", "mysql", lambda database: "")
