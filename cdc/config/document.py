"""A YAML file as plain values, with the place and the raw text of each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cdc.config.faults import ConfigFaults, Fault, YamlPath, dotted
from cdc.config.substitution import Substituted, substitute, without_defaults

FILE_BYTES_MAX = 256 * 1024
NODES_MAX = 20_000  # counted after aliases are followed, so that they can't multiply
DEPTH_MAX = 40
SHOWN_CHARACTERS_MAX = 60

_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|api_?key|\bsalt\Z", re.IGNORECASE
)
_KEY_NAME = re.compile(r"(.*[._-])?key\Z", re.IGNORECASE)
_SCALAR_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str")}
_OPEN_SECTIONS = ("streams", "views", "topics", "change_events")
_USERINFO = re.compile(r"://[^/\s]*@")


class _Loader(yaml.SafeLoader):
    """The scalars of YAML 1.2: `on`, `no` and `12:30` are text, not booleans and numbers."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML's own class attribute


def _resolver(kind: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), list(first))


_resolver("null", r"(?:~|null|Null|NULL|)\Z", "~nN")
_Loader.yaml_implicit_resolvers.setdefault("", []).append(
    ("tag:yaml.org,2002:null", re.compile(r"\Z"))
)
_resolver("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF")
_resolver("int", r"[-+]?[0-9]+\Z|0x[0-9a-fA-F]+\Z|0o[0-7]+\Z", "-+0123456789")
_resolver(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z|[-+]?\.(?:inf|nan)\Z",
    "-+.0123456789",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in the file, and how it may be shown."""

    line: int
    shown: str
    """The raw text, quoted and cut; a secret as `***`; never a resolved `${…}`."""
    is_scalar: bool
    is_resolved: bool = False
    """It came, whole and unquoted, from one `${…}`, so that its type is a guess."""


@dataclass(slots=True)
class Document:
    """Values, places by path, faults so far, and what may never be shown."""

    file: Path
    data: Any = None
    places: dict[YamlPath, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)
    """Secret value → the raw text that stands for it."""

    def fault(self, path: YamlPath, text: str) -> None:
        """Note a fault; its line is that of the path or of the nearest place above it."""
        self.faults.append(Fault(self.file, self.line(path), path, text))

    def line(self, path: YamlPath) -> int:
        while path not in self.places and path:
            path = path[:-1]
        place = self.places.get(path)
        return place.line if place else 0

    def path_of(self, dotted_path: str) -> YamlPath:
        """The path that is shown like this, or the longest one in the file that it begins with."""
        paths = {dotted(path): path for path in self.places}
        while dotted_path not in paths and dotted_path:
            dotted_path = dotted_path[: max(dotted_path.rfind("."), dotted_path.rfind("["), 0)]
        return paths.get(dotted_path, ())

    def scrub(self, text: str) -> str:
        """The text without any value that came from `${…}` or stands in a secret field."""
        # Invariant 9. Longest first, so that a value inside another one can't split it.
        if not self.hidden:
            return text
        longest_first = sorted(self.hidden, key=len, reverse=True)
        pattern = "|".join(_exactly(value) for value in longest_first)
        stands_for = {value.lower(): shown for value, shown in self.hidden.items()}
        return re.sub(pattern, lambda m: stands_for[m[0].lower()], text, flags=re.IGNORECASE)


def read_document(
    file: Path, environment: Mapping[str, str], folder: Path, as_text: Collection[YamlPath] = ()
) -> Document:
    """The file's values with placeholders resolved; raises only where nothing can be read.

    Values at `as_text` stay text even if they look like a number."""
    document = Document(file)
    node = _compose(file)
    if node is None:
        document.fault((), "the file is empty")
        return document
    reader = _Reader(document, environment, folder, frozenset(as_text))
    document.data = reader.value(node, (), node.start_mark.line + 1)
    return document


def _compose(file: Path) -> yaml.Node | None:
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigFaults(file, [Fault(file, 0, (), _unreadable(error))]) from None
    if len(data) > FILE_BYTES_MAX:
        fault = Fault(file, 0, (), f"the file is larger than {FILE_BYTES_MAX} bytes")
        raise ConfigFaults(file, [fault])
    try:
        node: yaml.Node | None = yaml.compose(data.decode("utf-8-sig"), Loader=_Loader)
        return node
    except UnicodeDecodeError:
        raise ConfigFaults(file, [Fault(file, 0, (), "the file is not UTF-8 text")]) from None
    except RecursionError:
        fault = Fault(file, 0, (), f"nested deeper than {DEPTH_MAX} levels")
        raise ConfigFaults(file, [fault]) from None
    except yaml.YAMLError as error:
        # `from None`: PyYAML's own message quotes the line, which may hold a password.
        raise ConfigFaults(file, [_syntax(file, error, data)]) from None


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"can't read the file: {error.strerror}"


def _syntax(file: Path, error: yaml.YAMLError, data: bytes) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a character that YAML does not allow"
    # Quoted names in it (aliases, tags) are text of the file, possibly a password: leave
    # only single characters and PyYAML's own token names.
    problem = re.sub(r"'([^']*)'", _token, str(problem))
    if mark is None:
        return Fault(file, 0, (), f"not YAML: {problem}")
    text = f"not YAML: {problem} (column {mark.column + 1})"
    if any(b"${" in line for line in data.splitlines()[mark.line : mark.line + 1]):
        text += '; inside { } and [ ] a placeholder needs quotes: "${VAR}"'
    return Fault(file, mark.line + 1, (), text)


def _token(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[1]) < 2 or quoted[1].startswith("<") else "'…'"


class _Reader:
    """Turns nodes into values; every scalar goes through the placeholders."""

    def __init__(
        self,
        document: Document,
        environment: Mapping[str, str],
        folder: Path,
        as_text: frozenset[YamlPath],
    ) -> None:
        self._document = document
        self._environment = environment
        self._folder = folder
        self._as_text = as_text
        self._resolver = _Loader("")
        self._nodes = 0

    def value(self, node: yaml.Node, path: YamlPath, line: int) -> Any:
        self._nodes += 1
        if self._nodes > NODES_MAX or len(path) > DEPTH_MAX:
            limit = f"{NODES_MAX} values" if self._nodes > NODES_MAX else f"{DEPTH_MAX} levels"
            file = self._document.file
            fault = Fault(file, line, (), f"more than {limit}, aliases followed")
            raise ConfigFaults(file, [fault])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, line)
        if isinstance(node, yaml.SequenceNode):
            self._document.places[path] = Place(line, "a list", False)
            return [
                self.value(item, (*path, index), item.start_mark.line + 1)
                for index, item in enumerate(node.value)
            ]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path, line)

    def _mapping(self, node: yaml.MappingNode, path: YamlPath, line: int) -> dict[str, Any]:
        self._document.places[path] = Place(line, "a mapping", False)
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.faults.append(
                    Fault(self._document.file, key_line, path, "a key that is not text")
                )
                continue
            key: str = key_node.value
            if key in values:
                text = f"this key is in line {lines[key]} already"
                fault = Fault(self._document.file, key_line, (*path, key), text)
                self._document.faults.append(fault)
                continue
            lines[key] = key_line
            values[key] = self.value(value_node, (*path, key), key_line)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: YamlPath, line: int) -> Any:
        document, raw = self._document, str(node.value)
        result = substitute(raw, self._environment, self._folder)
        is_secret = is_secret_path(path)
        is_plain = node.style is None
        document.places[path] = Place(
            line,
            _shown(raw, is_secret, is_plain=node.tag != "tag:yaml.org,2002:str"),
            True,
            is_resolved=result.is_whole and is_plain,
        )
        self._hide(result, raw, is_secret)
        for fault in result.faults:
            document.fault(path, fault)
        if result.is_whole and is_plain:
            return result.text if path in self._as_text else self._guessed(result.text)
        if node.tag not in _SCALAR_TAGS:
            document.fault(path, "a YAML tag; leave it out")
            return result.text
        return _typed(result.text, node.tag)

    def _hide(self, result: Substituted, raw: str, is_secret: bool) -> None:
        hidden = self._document.hidden
        for value in result.values:
            shown = without_defaults(raw) if result.is_whole else "${…}"
            # Messages of others may quote a value with repr, which escapes it.
            hidden[value] = hidden[repr(value)[1:-1]] = shown
        if is_secret and result.text:
            hidden.setdefault(result.text, "***")
            hidden.setdefault(repr(result.text)[1:-1], "***")

    def _guessed(self, text: str) -> Any:
        """The value YAML would give the text, but only where nothing of the text is lost.

        `0123` stays text: it is a password or an account number, not the number 123."""
        tag = self._resolver.resolve(  # type: ignore[no-untyped-call]
            yaml.ScalarNode, text, (True, False)
        )
        value = _typed(text, tag)
        if isinstance(value, bool) or value is None or str(value) == text:
            return value
        return text


def _exactly(value: str) -> str:
    if len(value) > 3:
        return re.escape(value)
    # A value of a few characters is in many words; alone it is the value.
    return rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])"


def is_secret_path(path: YamlPath) -> bool:
    """Whether what stands here is shown as `***`: passwords, tokens, keys, log options."""
    if "options" in path:
        return True
    name = next((element for element in reversed(path) if isinstance(element, str)), "")
    if _SECRET_NAME.search(name):
        return True
    # A stream's `key` names columns; elsewhere a key is a private one.
    return bool(_KEY_NAME.match(name)) and path[0] not in _OPEN_SECTIONS


def _shown(raw: str, is_secret: bool, *, is_plain: bool) -> str:
    if not raw:
        return "nothing"
    if is_secret:
        return without_defaults(raw)
    text = _USERINFO.sub("://***@", raw)
    if len(text) > SHOWN_CHARACTERS_MAX:
        text = text[:SHOWN_CHARACTERS_MAX] + "…"
    return text if is_plain else f'"{text}"'


def _typed(text: str, tag: str) -> Any:
    kind = tag.rpartition(":")[2]
    try:
        if kind == "int":
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if kind == "float":
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    except ValueError:
        return text
    if kind == "bool":
        return text.lower() == "true"
    if kind == "null":
        return None
    return text
