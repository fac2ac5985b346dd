"""An Optuna study as a table of runs, one row a trial."""

import re
from pathlib import Path
from typing import Any

from ...data.columns import closest
from ...data.raw import RawTable
from ...errors import DataError, listed

__all__ = ["is_study", "read_study", "without_password"]

_FILES = (".db", ".sqlite", ".sqlite3")
_MAGIC = b"SQLite format 3\x00"


def is_study(source: str) -> bool:
    """Whether a source names an Optuna storage rather than a table: a database's address or SQLite's file."""
    scheme, found, _ = source.partition("://")
    return (bool(found) and scheme not in ("http", "https")) or Path(source).suffix.lower() in _FILES


def without_password(source: str) -> str:
    """A storage's address as it may be shown.

    Example:
        >>> without_password("postgresql://me:secret@host/runs")
        'postgresql://me:***@host/runs'
    """
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", source)


def read_study(source: str, name: str | None = None) -> tuple[RawTable, tuple[str, ...], tuple[str, ...]]:
    """Read the finished trials of a study.

    Columns are ``number``, ``state``, the objectives (by their metric names where the study has them, else ``value`` or
    ``value0``, ``value1``, ...), and the parameters and user attributes by their names. A file of SQLite is opened for
    reading only. Trials that were pruned or failed have no objectives.

    Args:
        source: Such as ``sqlite:///study.db``, or the path of the file.
        name: Name of the study, where the storage holds several.

    Returns:
        The table, the objectives, and those that the study maximises.

    Raises:
        DataError: Optuna is not installed; there is no such storage or study.
    """
    try:
        import optuna  # noqa: PLC0415 - an extra
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - Optuna brings it
    except ImportError as error:
        raise DataError(
            f"{without_password(source)!r} names an Optuna storage, and Optuna is not installed. Type "
            "pip install 'equipoise[tune]', or "
            "export the study with study.trials_dataframe().to_csv(...)."
        ) from error
    storage = _address(source)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        names = optuna.get_all_study_names(storage)
        chosen = _which(source, names, name)
        study = optuna.load_study(study_name=chosen, storage=storage)
        trials = study.get_trials(deepcopy=False)
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError, KeyError, TypeError) as error:
        raise DataError(
            f"{without_password(source)!r} cannot be read as an Optuna storage: {str(error).splitlines()[0]}"
        ) from error
    finally:
        optuna.logging.set_verbosity(before)
    return _table(study, chosen, trials, optuna.study.StudyDirection.MAXIMIZE)


def _address(source: str) -> str:
    """What to hand to SQLAlchemy; a file of SQLite must exist and is opened for reading only."""
    path = source.removeprefix("sqlite:///") if source.startswith("sqlite:///") else source
    if "://" in path:
        return source
    file = Path(path)
    if not file.is_file():
        raise DataError(f"There is no Optuna storage {without_password(source)!r}: no file {str(file)!r}.")
    with file.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise DataError(
                f"{without_password(source)!r} must be a database of SQLite, as Optuna writes it; found another "
                "kind of file."
            )
    return f"sqlite:///file:{file.resolve()}?mode=ro&uri=true"


def _which(source: str, names: list[str], name: str | None) -> str:
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    if not names:
        raise DataError(f"{without_password(source)!r} must hold an Optuna study; it holds none.")
    near = "" if name is None else f" Closest: {listed(closest(name, names))}." if closest(name, names) else ""
    wanted = "several studies: name one with --study" if name is None else f"no study {name!r}"
    raise DataError(f"{without_password(source)!r} holds {wanted}.{near} It has {listed(names[:20])}.")


def _table(
    study: Any, name: str, trials: list[Any], maximize: Any
) -> tuple[RawTable, tuple[str, ...], tuple[str, ...]]:
    import pandas as pd  # noqa: PLC0415 - slow to import

    count = len(study.directions)
    plain = ["value"] if count == 1 else [f"value{i}" for i in range(count)]
    objectives = tuple(study.metric_names or plain)
    taken = {"number", "state", *objectives}
    rows = []
    for trial in trials:
        values = trial.values if trial.state.name == "COMPLETE" and trial.values is not None else [None] * count
        row = {"number": trial.number, "state": trial.state.name, **dict(zip(objectives, values, strict=True))}
        for prefix, found in (("params_", trial.params), ("user_attrs_", trial.user_attrs)):
            row |= {(prefix + key if key in taken else key): value for key, value in found.items()}
        rows.append(row)
    if not rows:
        raise DataError(f"The Optuna study {name!r} must hold finished trials; it holds none.")
    maximised = tuple(key for key, way in zip(objectives, study.directions, strict=True) if way == maximize)
    return RawTable(pd.DataFrame(rows), name=name, source=f"Optuna study {name}"), objectives, maximised
