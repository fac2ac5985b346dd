"""Every error that equipoise raises on purpose.

::

    EquipoiseError
    ├── InputError (ValueError)        what the caller gave cannot be used; nothing was changed
    │   ├── SettingError               a setting of a method or function lies outside its range
    │   ├── TaskError                  task names: unknown, missing, doubled, in conflict with earlier ones
    │   ├── LossError                  a loss is detached, not a scalar, or outside a method's domain
    │   ├── PreferenceError            a preference of a kind that the method cannot honour
    │   ├── GramianError               not a (k, k) symmetric positive semidefinite matrix
    │   ├── DataError                  a table, file or column cannot be used
    │   ├── StateError                 a saved state belongs to other tasks or another method
    │   └── RunFolderError             an output folder is not ours to write
    ├── ClockError (RuntimeError)      a method that moves per epoch was never told of one
    ├── NonFiniteError (ArithmeticError)  a loss or gradient holds NaN or inf; weights were not changed
    └── LawViolation (AssertionError)  a method breaks a law that it claims

    EquipoiseWarning (UserWarning)     the result is usable, but perhaps not what was asked for

Numerical outcomes (a stationary point, a problem without solution, an iteration limit) are not errors: they are
a `Status`, recorded and counted.

A message has four parts: what must hold, what was found, why it matters where that is not plain, what to type.
"""

__all__ = [
    "ClockError",
    "DataError",
    "EquipoiseError",
    "EquipoiseWarning",
    "GramianError",
    "InputError",
    "LawViolation",
    "LossError",
    "NonFiniteError",
    "PreferenceError",
    "RunFolderError",
    "SettingError",
    "StateError",
    "TaskError",
    "listed",
]


class EquipoiseError(Exception):
    """Base of all errors raised here."""


class InputError(EquipoiseError, ValueError):
    """What the caller gave cannot be used; nothing was changed."""


class SettingError(InputError):
    """A setting lies outside its range."""


class TaskError(InputError):
    """Task names are unknown, missing, doubled, or differ from earlier ones."""


class LossError(InputError):
    """A loss is detached, not a scalar, or outside the method's domain."""


class PreferenceError(InputError):
    """A preference of a kind that the method cannot honour."""


class GramianError(InputError):
    """Not a (k, k) symmetric positive semidefinite matrix."""


class DataError(InputError):
    """A table, file or column cannot be used."""


class StateError(InputError):
    """A saved state belongs to other tasks or to another method."""


class RunFolderError(InputError):
    """An output folder is not ours to write."""


class ClockError(EquipoiseError, RuntimeError):
    """A method that moves per epoch was never told of one."""


class NonFiniteError(EquipoiseError, ArithmeticError):
    """A loss or gradient holds NaN or inf; weights were not changed."""


class LawViolation(EquipoiseError, AssertionError):  # noqa: N818 - a violation, not an error of the caller
    """A method breaks a law that it claims.

    Attributes:
        found: What was found in place of what the law says.
        size: Size of the miss relative to the direction; infinite where there is no such number.
    """

    def __init__(self, message: str, *, found: str = "", size: float = float("inf")) -> None:
        super().__init__(message)
        self.found = found
        self.size = size


class EquipoiseWarning(UserWarning):
    """The result is usable, but perhaps not what was asked for."""


def listed(names: object, quote: str = "'") -> str:
    """Names as they appear in messages: ``'a', 'b', 'c'``.

    Args:
        names: Names in any iterable.
        quote: Put on both sides of each name.

    Example:
        >>> listed(["depth", "normals"])
        "'depth', 'normals'"
    """
    return ", ".join(f"{quote}{name}{quote}" for name in names)  # type: ignore[attr-defined]
