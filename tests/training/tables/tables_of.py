"""Small tables for the tests of this folder."""

import numpy as np
import pandas as pd

from equipoise.data.encoding.prepare import prepared
from equipoise.data.raw import RawTable
from equipoise.data.reading import checked_reading


def mixed(rows: int = 120, seed: int = 0) -> pd.DataFrame:
    """Numbers, classes, a date, true/false and gaps; targets y (a number), kind (three classes), up (true/false)."""
    draw = np.random.default_rng(seed)
    x, z = draw.normal(size=rows), draw.exponential(size=rows)
    colour = draw.choice(["blue", "green", "red"], rows)
    day = pd.Timestamp("2024-01-31") + pd.to_timedelta(draw.integers(0, 400, rows), unit="D")
    flag = draw.random(rows) > 0.4
    frame = pd.DataFrame({"x": x, "z": z, "colour": colour, "day": day, "flag": flag})
    frame["y"] = 3 + 2 * x**2 + (colour == "red")
    frame["kind"] = np.where(x > 0.4, "high", np.where(flag, "mid", "low"))
    frame["up"] = x + flag > 0.3
    frame.loc[::7, "x"] = np.nan
    frame.loc[::5, "y"] = np.nan
    return frame


def raw(frame: pd.DataFrame) -> RawTable:
    """A frame as `look_at` expects it."""
    return prepared(RawTable(frame, "toy", "made here"), checked_reading({}), times=True)
