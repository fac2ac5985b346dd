import pytest
import torch

import equipoise as eq
from equipoise.data.formats import memory
from equipoise.engine.cost.sizes import free_bytes
from equipoise.errors import DataError


def test_a_file_beyond_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "large.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 5000)
    monkeypatch.setattr(memory, "available_memory", lambda: 200_000)
    monkeypatch.setattr("equipoise.data.formats.source.hashlib.file_digest", lambda *_: pytest.fail("it was read"))
    # 15,003 cells of 8 bytes, twice while blocks are joined: 240,000 bytes
    with pytest.raises(
        DataError, match=r"'large.csv' must fit into memory: its 29.3 KiB would take about 234.4 KiB as columns"
    ):
        eq.data.load(path, targets=["a", "b"])


def test_the_estimate_is_the_size_of_the_columns(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n" + "10,20,30\n" * 5000)
    asked = []
    monkeypatch.setattr(memory, "available_memory", lambda: asked.append(1) or 245_000)
    memory.refuse_beyond_memory(path)  # 15,003 cells of 8 bytes, twice
    monkeypatch.setattr(memory, "available_memory", lambda: asked.append(1) or 235_000)
    with pytest.raises(DataError):
        memory.refuse_beyond_memory(path)
    assert len(asked) == 2


def test_where_the_system_does_not_say_nothing_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    monkeypatch.setattr("equipoise.core.memory._MEMINFO", tmp_path / "absent")
    assert memory.available_memory() is None
    memory.refuse_beyond_memory(path)


def test_what_the_cache_would_give_back_is_available_to_tables_and_to_steps(tmp_path, monkeypatch):
    said = tmp_path / "meminfo"
    said.write_text("MemTotal: 900 kB\nMemFree: 100 kB\nMemAvailable: 700 kB\n")
    monkeypatch.setattr("equipoise.core.memory._MEMINFO", said)
    assert memory.available_memory() == free_bytes(torch.device("cpu")) == 700 * 1024
    monkeypatch.setattr("equipoise.core.memory._MEMINFO", tmp_path / "absent")
    assert free_bytes(torch.device("cpu")) == float("inf")
