"""The way to get gradients on the page for contributors runs as printed, and gives what `Exact` gives."""

import re
from pathlib import Path

import pytest
import torch

import equipoise as eq
from tests.engine.comparing import step
from tests.engine.problems import TwoPart, batch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.mark.parametrize("method", [eq.MGDA(), eq.GradDrop(seed=1), eq.UPGrad()], ids=repr)
def test_the_mode_on_the_page_gives_exact_gradients(method):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict = {"__name__": __name__}
    exec(code, names)
    found = []
    for mode in (names["OneByOne"](), eq.Exact()):
        torch.manual_seed(0)
        model = TwoPart()
        balancer = eq.Balancer(method, model=model, gradients=mode)
        for seed in range(3):
            model.zero_grad()
            step(balancer, model, *batch(seed=seed))
        found.append([parameter.grad for parameter in model.parameters()])
        assert balancer.plan.engine == ("one by one" if mode != eq.Exact() else balancer.plan.engine)
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_files_and_names_on_the_page_exist():
    for path in re.findall(r"`((?:data|audits|engine|tests)/[\w/]+(?:\.py)?)`", PAGE):
        assert "NAME" in path or (ROOT / path).exists() or (ROOT / "src" / "equipoise" / path).exists(), path
