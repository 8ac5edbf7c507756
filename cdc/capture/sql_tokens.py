"""SQL text as tokens, the same for MySQL and MariaDB; anything at all can be split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from cdc.capture.checkpoint import Flavor
from cdc.capture.dialect import Dialect

WORD: Final = "word"
QUOTED: Final = "quoted"
"""A name in backticks."""
STRING: Final = "string"
NUMBER: Final = "number"
SIGN: Final = "sign"


def _pattern(text: str, quoted: str) -> re.Pattern[str]:
    """Tokens, where strings between single and double quotes have these characters."""
    # What has no end goes to the text's, and nothing is tried twice (`*+`): a hostile statement
    # takes no longer than another.
    return re.compile(
        r"(?P<space>\s+|--(?=\s)[^\n]*|\#[^\n]*|(?P<opening>/\*M?!\d*)"
        r"|/\*(?!M?!).*?(?:\*/|\Z)|\*/)"
        r"|(?P<quoted>`(?:[^`]|``)*+(?:`|\Z))"
        r"|(?P<string>(?:[nN]|[xXbB]|_[A-Za-z0-9]+\s*)?"
        rf"(?:'(?:{text}|'')*+(?:'|\Z)|\"(?:{quoted}|\"\")*+(?:\"|\Z)))"
        r"|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?![\w$])|\.\d+(?:[eE][+-]?\d+)?(?![\w$]))"
        r"|(?P<word>[\w$@\ufffd]+)"
        r"|(?P<sign>.)",
        re.DOTALL,
    )


_ESCAPED_TEXT: Final = (r"[^'\\]|\\(?:.|\Z)", r"[^\"\\]|\\(?:.|\Z)")
_PLAIN_TEXT: Final = ("[^']", r"[^\"]")
# By whether strings have escapes, and double quotes hold names.
_TOKENS: Final = {
    (True, False): _pattern(*_ESCAPED_TEXT),
    (True, True): _pattern(_ESCAPED_TEXT[0], _PLAIN_TEXT[1]),
    (False, False): _pattern(*_PLAIN_TEXT),
    (False, True): _pattern(*_PLAIN_TEXT),
}
_TOKEN: Final = _TOKENS[True, False]
_USUAL: Final = Dialect("mariadb")
"""Strings have escapes, and all executable comments count."""
_PREFIX = re.compile(r"\A(?:_[A-Za-z0-9]+\s*|[nNxXbB])(?=['\"])")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


class Token(NamedTuple):
    """One token: its kind and its text as written."""

    kind: str
    text: str

    @property
    def upper(self) -> str:
        """A word in capitals; empty for other kinds, so that it equals no keyword."""
        return self.text.upper() if self.kind == WORD else ""

    @property
    def name(self) -> str:
        """The name that the token is, its quotes taken off."""
        if self.kind == QUOTED:
            return self.text[1:-1].replace("``", "`")
        if self.kind == STRING and self.text[0] == '"':  # sql_mode ANSI_QUOTES
            return self.text[1:-1].replace('""', '"')
        return self.text

    @property
    def value(self) -> str:
        """The text that a string literal stands for; others as they are."""
        if self.kind != STRING:
            return self.text
        text = _PREFIX.sub("", self.text, 1)
        quote = text[0]
        text = text[1:-1].replace(quote * 2, quote)
        return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), text)


def tokens_of(text: str, dialect: Dialect = _USUAL) -> Sequence[Token]:
    """The tokens of a statement, comments left out; those that the server runs count as text.

    Names and strings come out in one notation, whatever the session's."""
    pattern = _TOKENS[dialect.has_escapes, dialect.has_quoted_names]
    found: list[Token] = []
    at = 0
    while match := pattern.match(text, at):
        at = match.end()
        if match["space"] is None:
            kind = match.lastgroup
            assert kind
            found.append(_in_usual_notation(Token(kind, match.group()), dialect))
        elif match["opening"] is not None and not dialect.runs(match["opening"]):
            at = _behind_comment(text, at)
    return found


def _in_usual_notation(token: Token, dialect: Dialect) -> Token:
    if token.kind != STRING:
        return token
    if token.text[0] == '"' and dialect.has_quoted_names:
        name = token.text[1:-1].replace('""', '"').replace("`", "``")
        return Token(QUOTED, f"`{name}`")
    if not dialect.has_escapes:
        return Token(STRING, token.text.replace("\\", "\\\\"))
    return token


def _behind_comment(text: str, at: int) -> int:
    """The end of a comment that isn't run; others may stand in it."""
    while True:
        end = text.find("*/", at)
        if end < 0:
            return len(text)
        if text.find("/*", at, end) < 0:
            return end + 2
        at = end + 2


def tokens_in(text: str, flavor: Flavor) -> Iterator[Token]:
    """The same one at a time, with comments as the server that wrote the statement takes them.

    `/*! … */` is text there, and with MariaDB `/*M! … */`: what a server doesn't execute of these
    it writes into its binlog as an ordinary comment, so no version has to be compared."""
    at, is_inside = 0, False
    while at < len(text):
        for match in _TOKEN.finditer(text, at):
            kind, at = match.lastgroup, match.end()
            assert kind
            if kind != "space":
                yield Token(kind, match.group())
            elif match.group() == "*/":
                if not is_inside:  # two signs, of which the second may begin a comment
                    yield Token(SIGN, "*")
                    at -= 1
                    break
                is_inside = False
            elif text.startswith("/*M!", match.start()) and flavor == "mysql":
                end = text.find("*/", at)
                at = end + 2 if end >= 0 else len(text)
                break
            elif text.startswith(("/*!", "/*M!"), match.start()):
                is_inside = True


class Tokens:
    """Reads tokens front to back; at the end every look gives an empty sign."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens, self.at = tokens, 0

    @property
    def next(self) -> Token:
        return self._tokens[self.at] if self.at < len(self._tokens) else END

    @property
    def is_end(self) -> bool:
        return self.at >= len(self._tokens)

    def take(self) -> Token:
        token = self.next
        self.at += 1
        return token

    def skip(self, *words: str) -> bool:
        """Step over these words, if all of them stand here in this order."""
        stand = self._tokens[self.at : self.at + len(words)]
        if len(stand) < len(words) or any(
            token.upper != word and token.text != word
            for token, word in zip(stand, words, strict=True)
        ):
            return False
        self.at += len(words)
        return True

    def skip_any(self, *words: str) -> str:
        """Step over one of the words; which one, or empty."""
        if self.next.upper in words:
            return self.take().upper
        return ""

    def name(self) -> str:
        """A name; NotUnderstood if there is none."""
        token = self.next
        if token.kind in (WORD, QUOTED) or (token.kind == STRING and token.text[0] == '"'):
            return self.take().name
        raise NotUnderstood(f"a name is missing before {token.text!r}")

    def group(self) -> Sequence[Token]:
        """The tokens of a group in parentheses that begins here, without these."""
        if not self.skip("("):
            raise NotUnderstood(f"( is missing before {self.next.text!r}")
        begin, depth = self.at, 1
        while depth:
            if self.is_end:
                raise NotUnderstood("a ) is missing")
            text = self.take().text
            depth += (text == "(") - (text == ")")
        return self._tokens[begin : self.at - 1]

    def up_to_comma(self) -> None:
        """Step to the next comma outside parentheses, or to the end."""
        while not self.is_end and self.next.text != ",":
            if self.next.text == "(":
                self.group()
            else:
                self.take()


END: Final = Token(SIGN, "")
"""What stands behind the last token."""


class NotUnderstood(Exception):
    """The text isn't what this reader knows; never fatal (invariant 6)."""


def split(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """The parts between commas that stand outside parentheses."""
    parts: list[Sequence[Token]] = []
    begin = depth = 0
    for at, token in enumerate(tokens):
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and not depth:
            parts.append(tokens[begin:at])
            begin = at + 1
    return [*parts, tokens[begin:]]
