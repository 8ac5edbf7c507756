"""What the sections `streams:` and `views:` of a connector file are made of."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Scalar = bool | int | float | str | None


class Part(BaseModel):
    """Frozen, knows its keys and no others, and shows no value in an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class Source(Part):
    """Where a value comes from: exactly one of a name and a constant."""

    allowed: ClassVar[str]
    """What the section's user may write, for its fault."""

    from_: Annotated[str | None, Field(alias="from")] = None
    value: Scalar = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        """A name alone is short for `from`."""
        return {"from": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"allowed: {self.allowed}")
        return self
