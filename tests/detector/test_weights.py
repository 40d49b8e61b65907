import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from lcageo.config import BACKBONES, Norm
from lcageo.detector.backbone import ResNet
from lcageo.detector.weights import load_backbone_weights, read_tensors
from lcageo.errors import ModelError

DEPTHS = {
    "resnet18": (2, (2, 2, 2, 2)),
    "resnet34": (2, (3, 4, 6, 3)),
    "resnet50": (3, (3, 4, 6, 3)),
    "resnet101": (3, (3, 4, 23, 3)),
}


def torchvision_names(name: str) -> list[str]:
    """The keys of torchvision's checkpoint, by its naming rule; older files lack num_batches_tracked, as here."""
    convs, depths = DEPTHS[name]

    def norm(prefix: str) -> list[str]:
        return [f"{prefix}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]

    names = ["conv1.weight", *norm("bn1"), "fc.weight", "fc.bias"]
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            prefix = f"layer{stage}.{block}"
            for i in range(1, convs + 1):
                names += [f"{prefix}.conv{i}.weight", *norm(f"{prefix}.bn{i}")]
            if block == 0 and (stage > 1 or convs == 3):  # shapes change there
                names += [f"{prefix}.downsample.0.weight", *norm(f"{prefix}.downsample.1")]
    return names


def fake_checkpoint(backbone: ResNet, name: str) -> dict[str, torch.Tensor]:
    shapes = {key: value.shape for key, value in backbone.state_dict().items()}
    return {key: torch.rand(shapes.get(key, (1000,))) for key in torchvision_names(name)}


@pytest.mark.parametrize("name", BACKBONES)
def test_torchvision_checkpoints_load_by_name(name, tmp_path):
    backbone = ResNet(name, width=8)
    checkpoint = fake_checkpoint(backbone, name)
    torch.save(checkpoint, tmp_path / "resnet.pth")
    load_backbone_weights(backbone, tmp_path / "resnet.pth")
    for key, value in backbone.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, checkpoint[key])


@pytest.mark.parametrize("norm", [Norm.BN, Norm.FROZEN_BN])
def test_safetensors_and_newer_checkpoints_with_counters_load_into_both_batch_norms(norm, tmp_path):
    source, target = ResNet("resnet18", width=8), ResNet("resnet18", width=8, norm=norm)
    save_file(source.state_dict(), tmp_path / "resnet.safetensors")
    load_backbone_weights(target, tmp_path / "resnet.safetensors")
    assert torch.equal(target.layer4[1].conv2.weight, source.layer4[1].conv2.weight)


def test_resnet50_at_full_width_has_the_size_of_torchvisions_without_its_classifier():
    with torch.device("meta"):
        backbone = ResNet("resnet50")
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 25_557_032 - (2048 * 1000 + 1000)


def test_missing_and_unexpected_names_are_told_and_nothing_is_loaded(tmp_path):
    backbone = ResNet("resnet18", width=8)
    checkpoint = fake_checkpoint(backbone, "resnet18")
    checkpoint["layer9.weight"] = checkpoint.pop("layer2.0.conv1.weight")
    torch.save(checkpoint, tmp_path / "resnet.pth")
    before = backbone.conv1.weight.clone()
    with pytest.raises(ModelError, match=r"missing layer2\.0\.conv1\.weight; unexpected layer9\.weight"):
        load_backbone_weights(backbone, tmp_path / "resnet.pth")
    assert torch.equal(backbone.conv1.weight, before)


def test_a_long_list_of_names_is_cut(tmp_path):
    torch.save({}, tmp_path / "empty.pth")
    with pytest.raises(ModelError, match=r"missing bn1\.bias, .* and \d+ more; unexpected nothing"):
        load_backbone_weights(ResNet("resnet18", width=8), tmp_path / "empty.pth")


def test_another_width_is_told_with_both_shapes(tmp_path):
    torch.save(ResNet("resnet18", width=16).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(ModelError, match=r"is \(16,.* in the file and \(8,.* in the network; choose the backbone"):
        load_backbone_weights(ResNet("resnet18", width=8), tmp_path / "wide.pth")


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
def test_an_absent_file_is_named(name, tmp_path):
    with pytest.raises(ModelError, match=rf"{name}' do not exist"):
        read_tensors(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {1: torch.zeros(1)}])
def test_a_file_of_anything_but_named_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "training.pth")
    with pytest.raises(ModelError, match="hold more than named tensors"):
        read_tensors(tmp_path / "training.pth")
