"""JSON that somebody may have edited: read with the limits of a careful reader, and one kind of error."""

import json
import math
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

__all__ = ["first_fault", "model_of", "parsed_json"]

Model = TypeVar("Model", bound=BaseModel)


def parsed_json(text: str) -> Any:
    """What the text says. Only finite numbers; nothing nested deeper than Python goes.

    Raises:
        ValueError: Not JSON, NaN or an infinite number, a whole number of thousands of digits, or nested too deep.

    Example:
        >>> parsed_json('{"a": 1e3}')
        {'a': 1000.0}
    """
    try:
        return json.loads(text, parse_constant=_refused, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _refused(word: str) -> NoReturn:
    raise ValueError(f"numbers must be finite; found {word}")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refused(digits[:40])
    return value


def model_of(kind: type[Model], plain: object) -> Model:
    """Plain data as a model. It goes through JSON, which refuses text that no file can hold (half a surrogate pair)."""
    return kind.model_validate_json(json.dumps(plain))


def first_fault(error: ValidationError, whole: str = "the file") -> str:
    """The first thing that a record lacks or has wrongly, with its place; `whole` where the fault is in no part."""
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or whole}: {first['msg']}"
