"""The README's script for several ranks, run by torchrun as it is pasted."""

import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_script_for_ddp_runs_under_torchrun(tmp_path):
    after = README.partition("run by `torchrun --nproc-per-node 2 train.py`:")[2]
    (tmp_path / "train.py").write_text(after.partition("```python\n")[2].partition("```")[0])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == ("('a', 'b') 2 columns of the rows scattered; DDP's reducer averages the gradients")
