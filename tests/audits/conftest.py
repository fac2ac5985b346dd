"""The audit that several files look at: all joints of SARCOS at all widths takes some 12 s."""

import pytest

from equipoise.core.records.audit import Verdict
from equipoise.linear import LinearProblem, audit_problem


@pytest.fixture(scope="session")
def all_joints(sarcos) -> tuple[Verdict, ...]:
    """Verdicts of the seven joints of SARCOS, for the widths 1 to 7."""
    X, Y, names = sarcos
    return audit_problem(LinearProblem(X, Y, tasks=names))
