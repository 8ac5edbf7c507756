"""What a connector file may hold at a path, looked up in its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Json = dict[str, Any]


class FileShape:
    """Answers which keys are allowed at a place of validation."""

    def __init__(self, schema: Json) -> None:
        self._root = schema

    def keys(self, location: Sequence[str | int]) -> tuple[str, ...]:
        """The keys of the mapping at pydantic's location (which names union branches too)."""
        keys: dict[str, None] = {}
        for branch in self._branches(self._at(location)):
            keys.update(dict.fromkeys(branch.get("properties", {})))
        return tuple(keys)

    def kinds(self, location: Sequence[str | int]) -> tuple[str, ...]:
        """The values of the key that tells the branches of a union apart."""
        targets = [self._resolve(candidate) for candidate in self._at(location)]
        return tuple(
            kind
            for target in targets
            for kind in target.get("discriminator", {}).get("mapping", {})
        )

    def _at(self, location: Sequence[str | int]) -> list[Json]:
        candidates = [self._root]
        for element in location:
            candidates = self._step(candidates, element)
        return candidates

    def _step(self, candidates: list[Json], element: str | int) -> list[Json]:
        chosen: list[Json] = []
        for branch in self._branches(candidates):
            inner = branch.get("items") if isinstance(element, int) else None
            if inner is None:
                inner = branch.get("properties", {}).get(element)
            if inner is None:
                inner = branch.get("additionalProperties")
            if isinstance(inner, dict):
                chosen.append(inner)
        # Else the element names the branch of a union, which is no step into the file.
        return chosen or self._named(candidates, element) or candidates

    def _named(self, candidates: list[Json], element: str | int) -> list[Json]:
        named: list[Json] = []
        for candidate in candidates:
            target = self._resolve(candidate)
            mapping = target.get("discriminator", {}).get("mapping", {})
            if element in mapping:
                named.append({"$ref": mapping[element]})
        named += [b for b in self._branches(candidates) if _is_called(b, str(element))]
        return named

    def _branches(self, candidates: Sequence[Json]) -> Iterator[Json]:
        for candidate in candidates:
            target = self._resolve(candidate)
            inner = [*target.get("anyOf", ()), *target.get("oneOf", ()), *target.get("allOf", ())]
            if inner:
                yield from self._branches(inner)
            else:
                yield target

    def _resolve(self, schema: Json) -> Json:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            found: Json = self._root["$defs"][name]
            return found
        return schema


def _is_called(branch: Json, tag: str) -> bool:
    """Whether pydantic names this branch by the tag: a model's name, or its `kind`."""
    kind = branch.get("properties", {}).get("kind", {}).get("const")
    return tag in (branch.get("title"), kind)
