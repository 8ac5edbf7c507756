"""What a statement's comments say of the request that caused it, as sqlcommenter writes them.

Form: `/*key='value',key='value'*/`, keys and values URL-encoded. Only comments count: text that
looks like one inside a string or a quoted name is data.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote

from cdc.model import Headers

VALUE_BYTES_MAX = 1024
"""Of one value; a longer one is left out, since it would stand on every row."""

# What has no end goes to the text's, and nothing is tried twice (`*+`), as in sql_tokens.py.
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\(?:.|\Z)|'')*+(?:'|\Z)|"(?:[^"\\]|\\(?:.|\Z)|"")*+(?:"|\Z)"""
    r"""|`(?:[^`]|``)*+(?:`|\Z)|--[ \t][^\n]*|\#[^\n]*|/\*(?:(?P<comment>.*?)\*/|.*)""",
    re.DOTALL,
)
_PAIR = re.compile(r"\s*+([^=,\s']++)\s*+=\s*+'((?:[^'\\]|\\.)*+)'\s*+")
_PAIRS = re.compile(rf"{_PAIR.pattern}(?:,{_PAIR.pattern})*+")


def context_of(text: str, keys: Collection[str]) -> Headers:
    """Headers of the allowed keys that the statement's comments hold; a later comment wins."""
    if "/*" not in text:
        return ()
    found: dict[str, bytes] = {}
    for token in _TOKEN.finditer(text):
        comment = token["comment"]
        if comment is None or not _PAIRS.fullmatch(comment):
            continue
        for key, value in _PAIR.findall(comment):
            data = unquote(value.replace("\\'", "'")).encode("utf-8", "replace")
            if unquote(key) in keys and len(data) <= VALUE_BYTES_MAX:
                found[unquote(key)] = data
    return tuple(found.items())
