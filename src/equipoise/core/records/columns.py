"""How one column of a table was read: a line of the list that an audit begins with, and of its record."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["ColumnCard", "Holds"]

Holds = Literal["numbers", "true/false", "classes", "dates", "text", "nothing"]


class ColumnCard(BaseModel):
    """How one column was read.

    Attributes:
        name: As in the table's header.
        role: ``target``, ``input`` or ``left out``.
        holds: ``numbers``, ``true/false``, ``classes``, ``dates``, ``text`` or ``nothing``.
        missing: Rows without a value, before any row was left out.
        done: What was done to it, in a few words; "" where it was used as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    role: Literal["target", "input", "left out"]
    holds: Holds
    missing: int
    done: str = ""
