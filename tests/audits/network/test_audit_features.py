"""Audit of a network's features: the same as that of the table of its features, wherever they are taken."""

import numpy as np
import pytest
import torch
from torch import nn

from equipoise.audits.network import audit_features
from equipoise.audits.table_audit import audit
from equipoise.data import encode_arrays
from equipoise.data.encoding.scores import best_scores
from equipoise.errors import DataError, InputError, SettingError, TaskError
from equipoise.linear import LinearProblem, audit_problem


class TwoHeads(nn.Module):
    def __init__(self, deep=False):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.5))
        self.heads = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1)) if deep else nn.Linear(6, 1)
                for name in "ab"
            }
        )

    def forward(self, x):
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}


def data(count=300):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 4, generator=generator)
    y = torch.stack([x[:, 0] ** 2 - x[:, 1], x[:, 1] + x[:, 2], torch.sin(x[:, 3])], 1)
    return x, y


def batches(x, y, size=64):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def test_it_is_the_audit_of_the_table_of_features():
    model, (x, y) = TwoHeads().train(), data()
    record = audit_features(model, batches(x, y), tasks=("u", "v", "w"))
    assert model.training
    assert model.trunk[1].num_batches_tracked == 0
    model.eval()
    with torch.no_grad():
        X = model.trunk(x).double().numpy()
    direct = audit_problem(LinearProblem(X, y.double().numpy(), tasks=("u", "v", "w")))
    assert [verdict.about.width for verdict in record.verdicts] == [verdict.about.width for verdict in direct]
    for ours, theirs in zip(record.verdicts, direct, strict=True):
        assert ours.status == theirs.status
        assert ours.condition.status == theirs.condition.status
        assert ours.effect.balanced_gap == pytest.approx(theirs.effect.balanced_gap, abs=1e-6)
        assert "features of TwoHeads" in ours.about.model
        assert "as they are now" in ours.caveat
    assert record.data.inputs == 6
    assert record.data.rows_used == 300


def test_features_may_be_named_or_computed():
    model, (x, y) = TwoHeads(), data()
    found = [
        audit_features(model, batches(x, y), features=where, width=1).tasks
        for where in (None, "trunk", lambda inputs: model.trunk(inputs))
    ]
    for cards in found[1:]:
        assert [card.separate_loss for card in cards] == pytest.approx([card.separate_loss for card in found[0]])


def test_heads_of_several_layers_need_a_name():
    model, (x, y) = TwoHeads(deep=True), data()
    with pytest.raises(InputError, match="do not share one input"):
        audit_features(model, batches(x, y))
    assert audit_features(model, batches(x, y), features="trunk", width=1).data.inputs == 6


def test_a_target_of_classes_is_one_task_scored_as_in_a_table():
    model, (x, y) = TwoHeads(), data()
    three = torch.bucketize(y[:, 0].contiguous(), torch.tensor([-0.5, 0.5]))
    targets = {"sign": (y[:, 1] > 0).long(), "level": three, "raw": y[:, 2]}
    loader = [(x[i : i + 100], {k: v[i : i + 100] for k, v in targets.items()}) for i in range(0, 300, 100)]
    record = audit_features(model, loader, classes={"sign": 2, "level": 3}, width=1)
    assert [card.name for card in record.tasks] == ["sign", "level", "raw"]
    assert [card.kind for card in record.tasks] == ["least squares on classes"] * 2 + ["regression"]
    assert record.smallest_width == 3
    model.eval()
    with torch.no_grad():
        X = model.trunk(x).double().numpy()
    scores = best_scores(three.numpy(), 3, X)
    table = LinearProblem(X, np.c_[(y[:, 1] > 0).double(), scores[three.numpy()], y[:, 2].double()])
    assert [card.separate_loss for card in record.tasks] == pytest.approx(table.unexplained.tolist(), abs=1e-9)
    assert record.tasks[1].variance == pytest.approx(1)
    told = ", ".join(f"{level} {score:.2f}" for level, score in enumerate(scores))
    assert any("level: 3 classes, one task; they are scored" in step and told in step for step in record.data.steps)


def test_classes_of_few_rows_have_no_say():
    model, (x, y) = TwoHeads(), data()
    rare = torch.bucketize(y[:, 0].contiguous(), torch.tensor([-0.5, 0.5]))
    rare[:4] = 3
    record = audit_features(model, [(x, {"level": rare, "raw": y[:, 2]})], classes={"level": 5}, width=1)
    (doubt,) = record.data.warnings
    assert doubt == "Classes of 'level' with fewer than 10 rows have no say and score the mean, 0: 3 (4), 4 (0)."
    assert record.tasks[0].variance == pytest.approx(296 / 300)
    with pytest.raises(DataError, match=r"two classes of 10 rows or more; found 0 \(0\), 1 \(300\), 2 \(0\)"):
        audit_features(model, [(x, {"level": torch.ones(300).long(), "raw": y[:, 2]})], classes={"level": 3})


def test_features_that_say_nothing_of_the_classes_score_them_in_order():
    codes = torch.arange(300) % 3
    z = torch.arange(300).double().div(3).floor()[:, None]  # the same in every class
    targets = {"level": codes, "line": z[:, 0] + codes}
    record = audit_features(nn.Identity(), [(z, targets)], features=lambda x: x, classes={"level": 3}, width=1)
    assert "0 -1.00, 1 0.00, 2 1.00" in record.data.steps[0]


def test_the_record_is_assembled_as_that_of_a_table():
    model, (x, y) = TwoHeads(), data()
    record = audit_features(model, batches(x, y), tasks=("u", "v", "w"), bootstraps=3)
    assert record.summary.startswith("Nothing is left to trade from width 3 on.")
    assert [verdict.bootstrap.resamples for verdict in record.verdicts] == [3] * len(record.verdicts)
    model.eval()
    with torch.no_grad():
        table = encode_arrays(model.trunk(x).double().numpy(), y.double().numpy())
    direct = audit(table, bootstraps=3, new_rows=False)
    for ours, theirs in zip(record.verdicts, direct.verdicts, strict=True):
        assert ours.bootstrap.statuses == theirs.bootstrap.statuses
        assert ours.bootstrap.balanced_gap == pytest.approx(theirs.bootstrap.balanced_gap, abs=1e-6)
    assert record.pictures.keys() == direct.pictures.keys()
    again = audit_features(model, [(x, torch.stack([y[:, 0], x[:, 0]], 1))], features=lambda x: x).data.warnings
    assert again == ("The inputs determine 'task1' exactly: is a target among the inputs?",)


def test_rows_with_missing_labels_are_left_out_and_counted():
    model, (x, y) = TwoHeads(), data()
    y[::3, 1] = torch.nan
    record = audit_features(model, batches(x, y), width=1)
    assert (record.data.rows, record.data.rows_used) == (300, 200)


def test_constant_features_and_other_batch_forms():
    model, (x, y) = TwoHeads(), data()
    loader = [{"x": x, "y": y}]
    record = audit_features(
        model,
        loader,
        unpack=lambda batch: ((batch["x"],), batch["y"]),
        features=lambda inputs: torch.cat([inputs[0], torch.ones(len(inputs[0]), 2)], 1),
        width=1,
    )
    assert any("2 of 6 inputs are constant" in warning for warning in record.data.warnings)


def test_features_that_explain_nothing_leave_nothing_to_trade():
    _, (x, y) = TwoHeads(), data()
    y = y - y.mean(0)
    # features orthogonal to the targets
    Q = torch.linalg.qr(torch.cat([torch.ones(300, 1), y], 1).double())[0]
    z = x.double() - Q @ (Q.T @ x.double())
    record = audit_features(nn.Identity(), [(z, y.double())], features=lambda inputs: inputs)
    assert record.verdicts[0].status == "nothing_to_trade"


def test_what_cannot_be_used_is_refused_by_name():
    model, (x, y) = TwoHeads(), data()
    with pytest.raises(SettingError, match="'trunc'"):
        audit_features(model, batches(x, y), features="trunc")
    with pytest.raises(InputError, match="unpack"):
        audit_features(model, [{"x": x}])
    with pytest.raises(TaskError, match="say how many"):
        audit_features(model, [(x, {"a": y[:, 0], "b": (y[:, 1] > 0).long()})])
    with pytest.raises(DataError, match=r"0 to 1; found \[2.0\]"):
        audit_features(model, [(x, {"a": y[:, 0], "b": torch.full((300,), 2)})], classes={"b": 2})
    with pytest.raises(InputError, match="rows, features"):
        audit_features(model, batches(x, y), features=lambda inputs: inputs[:, :, None])
    with pytest.raises(TaskError, match="3 columns"):
        audit_features(model, batches(x, y), tasks=("a",))
    with pytest.raises(InputError, match="no linear layer"):
        audit_features(nn.Tanh(), batches(x, y))
    with pytest.raises(DataError, match="finite"):
        audit_features(model, [(x * np.nan, y)])
