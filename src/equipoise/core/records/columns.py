"""How one column of a table was read: a line of the list that an audit begins with, and of its record."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["ColumnCard", "Holds"]

Holds = Literal["numbers", "true/false", "classes", "dates", "text", "nothing"]


class ColumnCard(BaseModel):
    """How one column was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  # as in the table's header
    role: Literal["target", "input", "left out"]
    holds: Holds
    missing: int  # rows without a value, before any row was left out
    done: str = ""  # what was done to it, in a few words; "" where it was used as it is
