"""A served mixture: stable draws with the right frequencies, losses and variance, nothing lost on disk."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.errors import InputError, SettingError, StateError
from equipoise.fronts import MixtureModel

LOSSES = [[0.0, 4.0], [1.0, 0.0], [9.0, 9.0]]


def model(seed=0, shares=(0.2, 0.5, 0.3)):
    torch.manual_seed(5)
    return MixtureModel([nn.Linear(3, 2) for _ in shares], shares, losses=LOSSES[: len(shares)], seed=seed)


def test_requests_are_served_in_proportion_and_the_losses_have_the_stated_mean_and_variance():
    mixed = model()
    drawn = np.array([mixed.draw(f"user-{i}") for i in range(40_000)])
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    assert np.abs(shares - mixed.shares).max() < 4 * np.sqrt(0.25 / len(drawn))
    seen = np.array(LOSSES)[drawn]
    assert np.allclose(seen.mean(0), mixed.expected_losses, atol=0.1)
    assert np.allclose(seen.var(0), mixed.variance, atol=0.3)


def test_the_same_request_gets_the_same_member_in_another_process():
    code = (
        "from equipoise.fronts import MixtureModel; import torch; "
        "m = MixtureModel([torch.nn.Identity()] * 3, [0.2, 0.5, 0.3]); print([m.draw(f'u{i}') for i in range(50)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [model().draw(f"u{i}") for i in range(50)]
    assert model().draw(7) == model().draw("7") == model().draw(b"7")


def test_another_seed_deals_the_requests_anew():
    assert [model(0).draw(i) for i in range(50)] != [model(1).draw(i) for i in range(50)]


def test_members_of_probability_zero_never_serve():
    mixed = MixtureModel([nn.Identity()] * 4, [0.0, 0.6, 0.0, 0.4])
    assert {mixed.draw(i) for i in range(2000)} == {1, 3}


def test_only_the_drawn_member_runs():
    mixed, x = model(), torch.randn(4, 3)
    for request in ("a", "b", "c", "d"):
        assert torch.equal(mixed(x, request=request), mixed.members[mixed.draw(request)](x))
    with pytest.raises(TypeError, match="request"):
        mixed(x)


def test_the_mean_prediction_is_no_worse_than_the_mixture_in_squared_error():
    mixed, x, y = model(), torch.randn(64, 3), torch.randn(64, 2)
    mean = ((mixed.predict_mean(x) - y) ** 2).mean()
    drawn = sum(a * ((member(x) - y) ** 2).mean() for a, member in zip(mixed.shares, mixed.members, strict=True))
    assert mean <= drawn
    expected = sum(a * member(x) for a, member in zip(mixed.shares, mixed.members, strict=True))
    assert torch.allclose(mixed.predict_mean(x), expected)


def test_the_mean_prediction_reaches_into_dictionaries_and_tuples():
    class Two(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def forward(self, x):
            return {"a": (x * self.value, x + self.value)}

    out = MixtureModel([Two(1.0), Two(3.0)], [0.5, 0.5]).predict_mean(torch.ones(2))
    assert out["a"][0].tolist() == [2.0, 2.0]
    assert out["a"][1].tolist() == [3.0, 3.0]


def test_a_saved_mixture_comes_back_whole(tmp_path):
    mixed = MixtureModel([nn.Linear(3, 2), nn.Linear(3, 2)], [0.25, 0.75], losses=LOSSES[:2], tasks="ab", seed=3)
    mixed.save(tmp_path / "served")
    assert sorted(path.name for path in (tmp_path / "served").iterdir()) == ["members.safetensors", "mixture.json"]
    back = MixtureModel.load(tmp_path / "served", lambda: nn.Linear(3, 2))
    x = torch.randn(5, 3)
    for request in range(20):
        assert torch.equal(mixed(x, request=request), back(x, request=request))
    assert back.tasks == ("a", "b")
    assert np.array_equal(back.expected_losses, mixed.expected_losses)


def test_members_that_share_tensors_can_be_saved(tmp_path):
    trunk = nn.Linear(3, 3)
    mixed = MixtureModel([nn.Sequential(trunk, nn.Linear(3, 1)) for _ in range(2)], [0.5, 0.5])
    mixed.save(tmp_path / "m")
    back = MixtureModel.load(tmp_path / "m", lambda: nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1)))
    x = torch.randn(2, 3)
    assert torch.equal(back(x, request="r"), mixed(x, request="r"))


def test_other_folders_and_other_members_are_refused(tmp_path):
    model().save(tmp_path / "m")
    with pytest.raises(InputError, match="exists"):
        model().save(tmp_path / "m")
    with pytest.raises(StateError, match="not those given"):
        MixtureModel.load(tmp_path / "m", lambda: nn.Linear(4, 2))
    with pytest.raises(StateError, match="Linear"):
        MixtureModel.load(tmp_path / "m", [nn.Tanh()])
    with pytest.raises(StateError, match=r"mixture\.json"):
        MixtureModel.load(tmp_path, nn.Tanh)
    one = nn.Linear(3, 2)
    for same in (lambda: one, [one] * 3):  # all members would be the last one
        with pytest.raises(StateError, match="different modules"):
            MixtureModel.load(tmp_path / "m", same)
    (tmp_path / "m/members.safetensors").write_bytes(b"not tensors")
    with pytest.raises(StateError, match="safetensors"):
        MixtureModel.load(tmp_path / "m", lambda: nn.Linear(3, 2))


def test_members_may_come_in_a_module_list_and_a_card_must_be_whole(tmp_path):
    mixed = model()
    mixed.save(tmp_path / "m")
    back = MixtureModel.load(tmp_path / "m", nn.ModuleList(nn.Linear(3, 2) for _ in mixed.members))
    x = torch.randn(5, 3)
    assert all(torch.equal(mixed(x, request=request), back(x, request=request)) for request in range(9))
    (tmp_path / "m/mixture.json").write_text('{"format": 1, "members": []}')
    with pytest.raises(StateError, match="with all its entries"):
        MixtureModel.load(tmp_path / "m", lambda: nn.Linear(3, 2))


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(SettingError, match="at least one"):
        MixtureModel([], [])
    with pytest.raises(SettingError, match="sum 1"):
        MixtureModel([nn.Identity()] * 2, [0.5, 0.6])
    with pytest.raises(SettingError, match="at least 0"):
        MixtureModel([nn.Identity()] * 2, [1.5, -0.5])
    with pytest.raises(SettingError, match="losses"):
        MixtureModel([nn.Identity()] * 2, [0.5, 0.5], losses=[1.0, 2.0])
    with pytest.raises(SettingError, match="finite"):
        MixtureModel([nn.Identity()] * 2, [0.5, 0.5], losses=[[1.0], [np.nan]])
    with pytest.raises(InputError, match="no losses"):
        _ = MixtureModel([nn.Identity()], [1.0]).variance
