"""The helper tables that gh-ost and pt-online-schema-change copy a table into."""

from __future__ import annotations

import re

_GH_OST = re.compile(r"_(?P<table>.+?)_(?:\d{14}_)?(?:gho|ghc|del)\Z", re.DOTALL)
_PT_OSC = re.compile(r"_+(?P<table>.+)_(?:new|old)\Z", re.DOTALL)


def helped_table(table: str) -> str | None:
    """The table that one of this name is a helper of; None if the name isn't a helper's."""
    found = _GH_OST.match(table) or _PT_OSC.match(table)
    return found["table"] if found else None
