import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from lcageo.detector.resnet import ResNet
from lcageo.detector.weights import load_backbone_weights, read_tensors
from lcageo.errors import ModelError


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_backbone_is_filled_from_a_file(suffix, tmp_path):
    source, target, path = ResNet("resnet18", 16), ResNet("resnet18", 16), tmp_path / f"resnet{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(source.state_dict(), path)
    assert load_backbone_weights(target, path) == ()
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())


def test_a_file_that_does_not_fit_is_named_with_the_reason(tmp_path):
    torch.save({"stranger": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(
        ModelError, match=r"weights '.*other\.pth' do not fit the backbone: missing bn1\.bias.* stranger"
    ):
        load_backbone_weights(ResNet("resnet18", 16), tmp_path / "other.pth")


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_pickled_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Malicious()}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be read as plain tensors"):
        read_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x02}", bytes(range(256)) * 8, pickle.dumps([1], protocol=2), b"\x80\x02e."]
)
def test_damaged_files_are_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as plain tensors"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("name", ["none.pth", "none.safetensors"])
def test_a_missing_file_is_named(name, tmp_path):
    with pytest.raises(ModelError, match=rf"{name}' do not exist"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {1: torch.zeros(1)}])
def test_a_file_of_anything_but_named_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "training.pth")
    with pytest.raises(ModelError, match="contain more than named tensors"):
        read_tensors(tmp_path / "training.pth")
