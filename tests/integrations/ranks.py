"""What one rank of two does in each framework; run in processes of their own by `test_ranks`."""

import os
import warnings
from pathlib import Path

import torch
from torch import distributed

import equipoise as eq
from tests.integrations.small import BATCH, EPOCHS, Net, data

RANKS, WINDOW = 2, 2


def lightning(folder: Path) -> Net:
    from tests.integrations.test_lightning import Module, trainer_of

    module = Module(eq.Balancer(eq.CAGrad(c=0.4)))
    table = torch.utils.data.TensorDataset(*data())
    sampler = torch.utils.data.DistributedSampler(table, shuffle=False)  # Lightning's own would shuffle
    rows = torch.utils.data.DataLoader(table, batch_size=BATCH // RANKS, sampler=sampler)
    callback = eq.integrations.lightning_callback()
    settings = {"strategy": "ddp", "devices": RANKS, "accumulate_grad_batches": WINDOW}
    settings["use_distributed_sampler"] = False
    trainer_of(folder, [callback], **settings).fit(module, rows)
    return module.net


def transformers(folder: Path) -> tuple[Net, eq.Balancer, list[dict[str, float]]]:
    from tests.integrations.test_huggingface import trainer_of

    balancer = eq.Balancer(eq.UncertaintyWeighting(), tasks=("a", "b"))  # its parameters are in no DDP module
    each = {"per_device_train_batch_size": BATCH // RANKS, "ddp_backend": "gloo"}
    trainer = trainer_of(folder, balancer, window=WINDOW, logging_strategy="epoch", **each)
    trainer.train()
    return trainer.model, balancer, [log for log in trainer.state.log_history if "loss" in log]


def accelerate() -> Net:
    from tests.integrations.test_accelerate import accelerator_of, train

    balancer = eq.Balancer(eq.CAGrad(c=0.4))
    return train(accelerator_of(WINDOW), balancer, window=WINDOW, batch=BATCH // RANKS)


def work(rank: int, folder: Path) -> None:
    """Train in all three, and leave the parameters in a file."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(RANKS), "NODE_RANK": "0"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}  # nobody meets there: the group is made here
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=RANKS)
    hugging, balancer, logs = transformers(folder)
    found = {
        "transformers": list(hugging.parameters()),
        "trained": list(balancer.parameters()),
        "accelerate": list(accelerate().parameters()),
        "lightning": list(lightning(folder).parameters()),
    }
    found = {name: [parameter.detach().clone() for parameter in listed] for name, listed in found.items()}
    torch.save({"found": found, "logs": logs, "epochs": EPOCHS}, folder / f"rank{rank}.pt")
    distributed.destroy_process_group()
