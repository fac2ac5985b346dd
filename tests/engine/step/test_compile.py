"""Compiled trunks and heads: several passes through one compiled graph."""

import os
from pathlib import Path

import pytest
import torch
import torch._functorch.config as functorch_config

import equipoise as eq
from equipoise.errors import InputError
from tests.engine.problems import TwoPart, batch, dense_gradients

from .test_semantics import close, expected, gradients

pytestmark = pytest.mark.filterwarnings("ignore")  # the compiler's own, which change from version to version
SLOW = pytest.mark.skipif(
    not os.environ.get("EQUIPOISE_INDUCTOR"), reason="a minute of compiling: EQUIPOISE_INDUCTOR=1"
)
BACKENDS = ["aot_eager", pytest.param("inductor", marks=SLOW)]


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    before = functorch_config.donated_buffer
    yield
    functorch_config.donated_buffer = before
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_compiled_trunk_and_compiled_heads_are_right(backend):
    model, (x, y) = TwoPart(k=2, dtype=torch.float32), batch(k=2, dtype=torch.float32)  # Tanh: its output is donated
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    balancer = eq.Balancer(eq.MGDA(), model=model)
    trunk = torch.compile(model.trunk, backend=backend)
    head = torch.compile(lambda head, z, target: (head(z)[:, 0] - target).square().mean(), backend=backend)
    for two_phase in (True, False):
        model.zero_grad()
        z = trunk(x)
        losses = {f"t{i}": head(model.heads[i], z, y[:, i]) for i in range(2)}
        balancer(losses, features=z if two_phase else None).backward()
        close(gradients(model), expected(model, rows, eq.MGDA()), 1e-5)


def test_a_whole_model_compiled_does_not_make_heads_look_shared():
    model, (x, y) = TwoPart(k=2, dtype=torch.float32), batch(k=2, dtype=torch.float32)
    rows = dense_gradients(model, lambda: model.losses(model.features(x), y))
    balancer = eq.Balancer(eq.MGDA(), model=model)
    compute = torch.compile(lambda: tuple(model.losses(model.features(x), y).values()), backend="aot_eager")
    balancer(compute()).backward()
    close(gradients(model), expected(model, rows, eq.MGDA()), 1e-5)
    assert balancer.ownership.reached["heads.0.weight"] == [0]


def test_a_graph_that_was_compiled_to_be_used_once_is_refused_with_what_to_type():
    class UsedOnce(torch.autograd.Function):
        """Raises as a compiled graph with donated buffers does when it is to be kept."""

        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, upstream):
            raise RuntimeError("compiled with non-empty donated buffers; set ... to disable donated buffer.")

    model, (x, y) = TwoPart(k=2), batch(k=2)
    with pytest.raises(InputError, match="donated_buffer = False"):
        eq.Balancer(eq.MGDA())(model.losses(UsedOnce.apply(model.features(x)), y))


def test_pytorch_words_its_refusal_as_we_look_for_it():
    source = Path(torch.__file__).parent.joinpath("_functorch", "_aot_autograd", "runtime_wrappers.py").read_text()
    assert '"donated buffer."' in source  # the last words of the message; we look for them
    assert "torch._functorch.config.donated_buffer=False" in source


def test_a_method_that_needs_gradients_turns_donation_off():
    functorch_config.donated_buffer = True
    eq.Balancer(eq.LinearScalarization())
    assert functorch_config.donated_buffer
    eq.Balancer(eq.MGDA())
    assert not functorch_config.donated_buffer
