from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from lcageo.errors import ModelError, OutputError
from lcageo.training.checkpoint import load_checkpoint, save_checkpoint


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_checkpoint({"a": torch.arange(3), "b": {"c": [1, 2.5, "x"]}, "none": None}, tmp_path / "c.pt")
    back = load_checkpoint(tmp_path / "c.pt")
    assert torch.equal(back["a"], torch.arange(3)) and back["b"] == {"c": [1, 2.5, "x"]} and back["none"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_failed_write_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    (tmp_path / "c.pt.part").mkdir()  # prevents the write
    with pytest.raises(OutputError, match=r"c.pt' cannot be written: [^;]*$"):
        save_checkpoint({"step": 1}, path)
    (tmp_path / "c.pt.part").rmdir()
    save_checkpoint({"step": 1}, path)
    (tmp_path / "c.pt.part").mkdir()
    with pytest.raises(OutputError, match=r"c.pt' cannot be written.*the previous one is intact"):
        save_checkpoint({"step": 2}, path)
    assert load_checkpoint(path) == {"step": 1}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps(print, protocol=2)])
def test_what_is_not_a_checkpoint_is_refused_without_running_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(ModelError, match="damaged or not an lcageo checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    save_checkpoint({"a": torch.zeros(1000)}, tmp_path / "c.pt")
    whole = (tmp_path / "c.pt").read_bytes()
    (tmp_path / "c.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged or not an lcageo checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


def test_a_file_of_another_type_is_refused(tmp_path: Path) -> None:
    torch.save([1], tmp_path / "c.pt")
    with pytest.raises(ModelError, match="holds a list"):
        load_checkpoint(tmp_path / "c.pt")
