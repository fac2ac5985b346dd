"""A table as a subject: the network that a preference can act on sees what the networks of the runs see."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from equipoise.data.reading import checked_reading
from equipoise.fronts.exploring.tables import of_table


def test_the_conditioned_network_has_the_features_of_the_runs_network_and_its_outputs_form():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 2)).round(2)
    frame = pd.DataFrame(x, columns=["heat", "speed"]).assign(price=x[:, 0], kind=np.where(x[:, 1] > 0, "a", "b"))
    options = dict.fromkeys(("inputs", "group", "time", "epochs", "names"))
    subject = of_table(
        frame, targets=["price", "kind"], drop=(), seeds=[0], hidden=[8], header=True, reading=checked_reading({}),
        **options,
    )  # fmt: skip
    made = subject.problem_of(0)()
    torch.manual_seed(0)
    whole = made.make_model()
    torch.manual_seed(0)
    plain = subject.plain(0)().make_model()
    rows = made.sources["val"].data[0]
    assert torch.equal(plain.inputs.embedded(rows), whole.embedded(rows))
    assert [layer.in_features for layer in plain.trunk if isinstance(layer, nn.Linear)] == [
        whole.embedded(rows).shape[-1]
    ]
    found, wanted = plain(rows), whole(rows)
    assert {task: out.shape for task, out in found.items()} == {task: out.shape for task, out in wanted.items()}
    assert not {name for name, _ in plain.named_parameters()} & {"inputs.trunk", "inputs.heads"}
    assert subject.rate == 0.004  # a tenth of the rate that tables with classes get
