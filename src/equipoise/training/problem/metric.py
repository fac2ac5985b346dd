"""A number by which users judge a task, beside the loss that is trained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...errors import SettingError

__all__ = ["Metric"]


@dataclass(frozen=True)
class Metric:
    """What is reported of a task: accuracy, mean absolute error in the target's own unit, an area under a curve.

    Attributes:
        name: Name as it is shown.
        function: ``function(outputs, batch) -> number``, called once for a whole part (validation, test) with the
            model's outputs for all of its rows and the rows themselves; unlabelled rows are its own business.
        better: Whether ``"lower"`` or ``"higher"`` is better.
        unit: Shown behind the number.
    """

    name: str
    function: Callable[[Any, Any], Any]
    better: Literal["lower", "higher"] = "lower"
    unit: str = ""

    def __post_init__(self) -> None:
        if self.better not in ("lower", "higher") or not callable(self.function) or not self.name:
            raise SettingError(
                "a Metric needs a name, a function of (outputs, batch), and better='lower' or 'higher'; got "
                f"name={self.name!r}, function={self.function!r}, better={self.better!r}."
            )
