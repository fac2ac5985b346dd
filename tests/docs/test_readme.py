"""What the README and the guides show is what the program prints. The README's Python is run as a doctest."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from equipoise.cli.app import app
from equipoise.report.audit.captions import MEASURES, STATUS_WORDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ROWS = 300


def _parts() -> pd.DataFrame:
    """A table of a factory: three targets, three inputs, and columns that need care: texts, dates, classes, gaps."""
    draw = np.random.default_rng(0)
    temperature, speed, pressure = draw.normal(size=(3, ROWS))
    night = draw.random(ROWS) < 0.4

    def noise() -> np.ndarray:
        return draw.normal(size=ROWS)

    table = pd.DataFrame(
        {
            "batch": [f"B{1000 + i}" for i in range(ROWS)],
            "date": pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d"),
            "shift": np.where(night, "night", "day"),
            "temperature": np.round(80 + 3 * temperature, 1),
            "speed": np.round(12 + speed, 2),
            "pressure": np.round(5 + 0.4 * pressure, 2),
            "strength": np.round(40 + 4 * temperature - 2 * speed + noise(), 1),
            "waste": np.round(3 + 0.5 * speed - 0.4 * pressure - 0.2 * temperature + 0.3 * noise(), 2),
            "thickness": np.round(1 + 0.05 * pressure - 0.04 * temperature - 0.03 * speed + 0.02 * noise(), 3),
        }
    )
    table.loc[draw.choice(ROWS, 12, replace=False), "pressure"] = np.nan
    return table


def _lines(text: str) -> list[str]:
    """Lines without blanks at their ends and without counts of solves, which rounding may change."""
    return [re.sub(r"[\d,]+ solves", "n solves", line.rstrip()) for line in text.splitlines()]


def test_the_audit_prints_what_the_readme_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _parts().to_csv("parts.csv", index=False)
    block = README.rpartition("$ equipoise audit parts.csv ")[2].partition("\n```")[0]
    options, *shown = block.splitlines()
    done = CliRunner().invoke(app, ["audit", "parts.csv", *options.split(), "-q"], env={"COLUMNS": "110"})
    assert done.exit_code == 0, done.output
    printed = _lines(done.stdout)
    wanted = [line for line in _lines("\n".join(shown)) if line != "..."]
    assert len(wanted) > 10
    assert [line for line in wanted if line not in printed] == []


def test_the_fit_prints_what_the_readme_shows(tmp_path, monkeypatch):
    """With a short training: the columns are the same, and the sentences have the same words around other numbers."""
    monkeypatch.chdir(tmp_path)
    _parts().to_csv("parts.csv", index=False)
    block = README.rpartition("$ equipoise fit parts.csv ")[2].partition("\n```")[0]
    options, *shown = block.splitlines()
    quick = ["--epochs", "1", "--hidden", "8", "--trials", "2", "-j", "1", "-q"]
    done = CliRunner().invoke(app, ["fit", "parts.csv", *options.split(), *quick], env={"COLUMNS": "110"})
    assert done.exit_code == 0, done.output
    printed = _lines(done.stdout)
    said = shown.index("columns)") + 1
    assert [line for line in shown[:said] if line != "..." and line not in printed] == []
    words = " ".join(line for line in shown[said:] if line != "...")
    first = re.sub(r"[\d.]+ %", "n %", words.partition(" Measured ")[0])
    assert first == (
        "No difference is detectable here between one model for all 3 targets and separate ones: 3 seeds would show "
        "one of n % of the loss, 7 seeds one of n %."
    )
    bar = "Against gradient boosting with a model for each target, the held-out loss of what was selected is "
    assert bar in words
    assert bar in " ".join(printed)
    assert printed[-1] == shown[-1] == "run/report.html"


def test_the_guide_to_audits_explains_every_verdict():
    guide = (ROOT / "docs" / "reading-an-audit.md").read_text()
    explained = set(re.findall(r"^\| ([A-Z][a-z ]+) \| [A-Z]", guide, re.MULTILINE)) - {"Verdict"}
    assert explained == {*STATUS_WORDS.values(), "Enough in theory only", "Enough for this width"}
    heads = {MEASURES["excess"]["decides"], MEASURES["excess"]["beside"], "Closes the gap", "What it takes", "How sure"}
    assert heads | {"On new rows"} == set(re.findall(r"^- \*\*([^*]+)\*\*: ", guide, re.MULTILINE))
