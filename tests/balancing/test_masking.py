"""The mean over labelled samples."""

import pytest
import torch

from equipoise.balancing.masking import masked_mean
from equipoise.errors import LossError


def test_it_is_the_mean_over_the_labelled_ones_and_the_others_get_no_gradient():
    prediction = torch.tensor([1.0, 5.0, 3.0], requires_grad=True)
    mask = torch.tensor([True, False, True])
    loss = masked_mean(prediction.square(), mask)
    assert loss is not None
    assert float(loss.detach()) == 5.0
    loss.backward()
    assert prediction.grad.tolist() == [1.0, 0.0, 3.0]


def test_a_mask_of_samples_covers_all_their_entries():
    values = torch.arange(6.0).reshape(3, 2)
    assert float(masked_mean(values, torch.tensor([True, False, True]))) == 2.5
    assert float(masked_mean(values, values > 3)) == 4.5


def test_a_batch_without_labels_has_no_loss_rather_than_zero():
    assert masked_mean(torch.ones(3), torch.zeros(3, dtype=torch.bool)) is None


def test_nan_from_a_missing_target_is_refused_where_it_would_reach_the_gradient():
    target = torch.tensor([1.0, float("nan")])
    prediction = torch.zeros(2, requires_grad=True)
    with pytest.raises(LossError, match="nan_to_num"):
        masked_mean((prediction - target).square(), ~target.isnan())
    clean = masked_mean((prediction - target.nan_to_num()).square(), ~target.isnan())
    clean.backward()
    assert prediction.grad.tolist() == [-2.0, 0.0]
    with torch.no_grad():  # no gradient, no harm
        assert float(masked_mean((prediction - target).square(), ~target.isnan())) == 1.0


def test_masks_and_losses_of_the_wrong_kind_are_refused():
    with pytest.raises(LossError, match=r"truth values; got torch\.float32"):
        masked_mean(torch.ones(3), torch.ones(3))
    with pytest.raises(LossError, match=r'reduction="none"'):
        masked_mean(torch.tensor(1.0), torch.ones(3, dtype=torch.bool))
    with pytest.raises(LossError, match=r"mask \(2,\) for \(3,\)"):
        masked_mean(torch.ones(3), torch.ones(2, dtype=torch.bool))
