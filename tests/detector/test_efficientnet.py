"""EfficientNet-Lite: what its checkpoints mean, in training, in exported graphs and in eight-bit integers."""

import hashlib

import numpy as np
import onnxruntime
import pytest
import quantise_model
import safetensors.torch
import torch
from efficientnet_lite_pytorch import EfficientNet
from support.shapes import write_shapes
from support.twins import same
from torch import nn
from torch.nn import functional

from lcageo.config import Backend, DetectConfig, Precision
from lcageo.data.formats.coco import read_coco
from lcageo.detector.count import true_macs
from lcageo.detector.efficientnet import EfficientNetLite, InvertedResidual, SameConv2d
from lcageo.detector.layers import fold_batch_norm
from lcageo.detector.presets import build_network
from lcageo.detector.resnet import ResNet
from lcageo.detector.weights import load_backbone_weights, pretrained_weights, read_tensors
from lcageo.errors import ModelError
from lcageo.network_config import BACKBONES, NetworkConfig, Norm, Preset
from lcageo.runtime.catalog import ModelCard
from lcageo.runtime.onnx_graph import onnx_graph
from lcageo.runtime.predictor import load_predictor

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
KERNELS, STRIDES, EXPANSIONS = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, 6, 6, 6, 6, 6, 6)
TABLE = {
    "efficientnet_lite0": ((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1), 224),
    "efficientnet_lite1": ((16, 24, 40, 80, 112, 192, 320), (1, 3, 3, 4, 4, 5, 1), 240),
    "efficientnet_lite2": ((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1), 260),
}
"""Channels and blocks of the seven stages, and the side of the images that the reference package pads for."""


def pretrained(name: str) -> EfficientNetLite:
    backbone = EfficientNetLite(name)
    load_backbone_weights(backbone, pretrained_weights(name))
    return backbone


def classified(backbone: EfficientNetLite, checkpoint: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """The logits of ImageNet's classes, by the classifier in the checkpoint."""
    features = functional.conv2d(backbone(images)[2], checkpoint["_conv_head.weight"])
    norm = (checkpoint[f"_bn1.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    pooled = functional.batch_norm(features, *norm, eps=1e-3).clamp(0, 6).mean(dim=(2, 3))
    return functional.linear(pooled, checkpoint["_fc.weight"], checkpoint["_fc.bias"])


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_classes_of_imagenet_are_those_of_the_reference_package(name):
    path, side = pretrained_weights(name), TABLE[name][2]
    reference = EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=str(path)).eval()
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = classified(pretrained(name).eval(), read_tensors(path), images)
    assert found.std() > 0.5
    torch.testing.assert_close(found, reference(images), rtol=0, atol=1e-4)


def padded_as_tensorflow_does(image: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """A convolution of one channel, written out from TensorFlow's documentation of tf.nn.convolution, "SAME"."""
    lost = [max(len(kernel) - (stride if n % stride == 0 else n % stride), 0) for n in image.shape]
    (top, left), size = (n // 2 for n in lost), [(n + stride - 1) // stride for n in image.shape]
    out = np.zeros(size)
    for (y, x), _ in np.ndenumerate(out):
        for (i, j), weight in np.ndenumerate(kernel):
            row, column = y * stride + i - top, x * stride + j - left
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                out[y, x] += weight * image[row, column]
    return out


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@torch.inference_mode()
def test_even_and_odd_sizes_are_padded_as_by_tensorflow(kernel, stride):
    rng = np.random.default_rng(0)
    conv = SameConv2d(1, 1, kernel, stride).double()
    for height, width in ((1, 2), (3, 4), (4, 3), (6, 6), (7, 7), (8, 5)):
        image, weights = rng.normal(size=(height, width)), rng.normal(size=(kernel, kernel))
        conv.weight.copy_(torch.from_numpy(weights))
        found = conv(torch.from_numpy(image)[None, None])[0, 0].numpy()
        np.testing.assert_allclose(found, padded_as_tensorflow_does(image, weights, stride), atol=1e-12)


def parameters_of(channels: tuple[int, ...], blocks: tuple[int, ...]) -> int:
    """Weights of the convolutions, and two for each channel of a batch norm."""
    total, before = 27 * 32 + 2 * 32, 32
    for after, count, kernel, expansion in zip(channels, blocks, KERNELS, EXPANSIONS, strict=True):
        for _ in range(count):
            wide = before * expansion
            expanding = before * wide + 2 * wide if expansion > 1 else 0
            total += expanding + kernel**2 * wide + 2 * wide + wide * after + 2 * after
            before = after
    return total


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_has_the_stages_and_parameters_of_the_paper(name):
    channels, blocks, _ = TABLE[name]
    with torch.device("meta"):
        backbone = EfficientNetLite(name)
    assert backbone.out_channels == (channels[2], channels[4], channels[6])
    assert tuple(len(stage) for stage in backbone.stages) == blocks
    for stage, after, kernel, stride in zip(backbone.stages, channels, KERNELS, STRIDES, strict=True):
        assert {block.depthwise.kernel_size[0] for block in stage} == {kernel}
        assert [block.depthwise.stride[0] for block in stage] == [stride] + [1] * (len(stage) - 1)
        assert {block.project.out_channels for block in stage} == {after}
    found = sum(parameter.numel() for parameter in backbone.parameters())
    of_classifier = channels[6] * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    checkpoint = read_tensors(pretrained_weights(name))
    learned = (tensor.numel() for key, tensor in checkpoint.items() if key.endswith((".weight", ".bias")))
    assert found == parameters_of(channels, blocks) == sum(learned) - of_classifier


def test_the_family_is_registered_with_all_its_variants():
    homes = {name for name, family in BACKBONES.items() if family.home.endswith(":EfficientNetLite")}
    assert homes == set(NAMES) == {name for name, family in BACKBONES.items() if family.pretrained}
    assert {BACKBONES[name].mean for name in NAMES} == {(127.0,) * 3}
    assert {BACKBONES[name].std for name in NAMES} == {(128.0,) * 3}


def test_a_block_has_a_shortcut_where_shapes_stay_and_a_linear_end():
    block = InvertedResidual(8, 8, 3, 1, 6, Norm.BN).eval()
    with torch.inference_mode():
        x = torch.randn(1, 8, 5, 5)
        block.project_norm.weight.zero_()
        block.project_norm.bias.fill_(-2.0)
        assert torch.equal(block(x), x - 2)  # neither clipped nor without the shortcut
        for other in (InvertedResidual(8, 8, 3, 2, 6, Norm.BN), InvertedResidual(8, 16, 3, 1, 6, Norm.BN)):
            other.eval().project_norm.weight.zero_()
            assert not other(x).any()


@pytest.mark.parametrize("norm", [Norm.BN, Norm.FROZEN_BN])
def test_a_checkpoint_fills_everything_and_its_statistics_stay(norm):
    name = NAMES[0]
    backbone, checkpoint = EfficientNetLite(name, norm=norm), read_tensors(pretrained_weights(name))
    assert backbone.load(checkpoint) == ()
    assert torch.equal(backbone.stem.weight, checkpoint["_conv_stem.weight"])
    assert torch.equal(backbone.stages[0][0].project_norm.running_var, checkpoint["_blocks.0._bn2.running_var"])
    assert torch.equal(backbone.stages[6][0].expand_norm.bias, checkpoint["_blocks.15._bn0.bias"])
    before = {key: value.clone() for key, value in backbone.named_buffers()}
    backbone.train()(torch.randn(2, 3, 64, 64))
    assert all(torch.equal(value, before[key]) for key, value in backbone.named_buffers())


@pytest.mark.parametrize(
    ("of", "into", "words"),
    [
        ("efficientnet_lite0", "efficientnet_lite1", r"missing stages\.5\.1\.depthwise\..* more; unexpected nothing"),
        ("efficientnet_lite1", "efficientnet_lite0", r"missing nothing; unexpected _blocks\.16\._.* and \d+ more"),
        ("efficientnet_lite1", "efficientnet_lite2", r"is \(\d+.* in the file and \(\d+.* in the network; choose"),
    ],
)
def test_the_checkpoint_of_another_variant_is_refused_and_changes_nothing(of, into, words):
    backbone = EfficientNetLite(into)
    before = backbone.stem.weight.clone()
    with pytest.raises(ModelError, match=rf"weights '.*{of[-5:]}.*' do not fit the backbone: .*{words}"):
        load_backbone_weights(backbone, pretrained_weights(of))
    assert torch.equal(backbone.stem.weight, before) and backbone.train().stem_norm.training


def test_the_checkpoint_of_another_family_is_refused():
    with pytest.raises(ModelError, match=r"missing .*; unexpected bn1\.bias, .*choose a checkpoint of the same backb"):
        EfficientNetLite("efficientnet_lite0").load(ResNet("resnet18", 16).state_dict())


def test_freezing_two_stages_fixes_the_stem_and_them():
    backbone = pretrained("efficientnet_lite0")
    backbone.freeze(2)
    trained = {".".join(name.split(".")[:2]) for name, value in backbone.named_parameters() if value.requires_grad}
    assert trained == {f"stages.{index}" for index in range(2, 7)}
    backbone.train()(torch.randn(2, 3, 64, 64))[0].sum().backward()
    assert all(parameter.grad is None for part in backbone.parts[:3] for one in part for parameter in one.parameters())
    assert backbone.stages[2][0].expand.weight.grad.abs().sum() > 0


@torch.inference_mode()
def test_folding_batch_norms_changes_no_map():
    backbone, images = pretrained("efficientnet_lite0").eval(), torch.randn(1, 3, 96, 65)
    before = backbone(images)
    fold_batch_norm(backbone)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    for folded, plain in zip(backbone(images), before, strict=True):
        assert plain.std() > 0.1
        torch.testing.assert_close(folded, plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("learns", [True, False])
def test_depthwise_convolutions_that_learn_are_computed_in_float32(learns):
    conv, x = SameConv2d(8, 8, 3, groups=8).train(learns), torch.randn(1, 8, 9, 9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x)
    exact = functional.conv2d(x.float(), conv.weight, padding=1, groups=8)
    assert found.dtype is torch.bfloat16 and torch.equal(found, exact.bfloat16()) == learns


def test_a_network_whose_weights_are_halved_still_trains():
    conv = SameConv2d(8, 8, 3, stride=2, groups=8).bfloat16().train()
    assert conv(torch.randn(1, 8, 9, 9).bfloat16()).dtype is torch.bfloat16


def test_gradients_in_bfloat16_are_close_to_those_in_float32():
    torch.manual_seed(0)
    backbone, images = pretrained("efficientnet_lite0"), torch.randn(2, 3, 64, 64)
    backbone.freeze(2)
    wanted = [
        torch.randn(2, channels, side, side) for channels, side in zip(backbone.out_channels, (8, 4, 2), strict=True)
    ]

    def gradients(halved: bool) -> list[torch.Tensor]:
        backbone.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            maps = backbone.train()(images)
        sum((one.float() * other).mean() for one, other in zip(maps, wanted, strict=True)).backward()
        return [parameter.grad.flatten() for parameter in backbone.parameters() if parameter.requires_grad]

    exact, found = gradients(halved=False), gradients(halved=True)
    assert len(exact) == 9 * 13 and all(one.dtype is torch.float32 for one in found)
    for one, other in zip(exact, found, strict=True):
        assert functional.cosine_similarity(one, other, dim=0) > 0.9
        assert one.norm() == pytest.approx(other.norm(), rel=0.25)
    assert functional.cosine_similarity(torch.cat(exact), torch.cat(found), dim=0) > 0.97


def test_a_detector_with_it_is_smaller_than_with_resnet18():
    with torch.device("meta"):
        lite, narrow = (
            build_network(NetworkConfig(Preset.LCA, 10, name, width, channels=96, head_convs=4))
            for name, width in ((NAMES[0], 64), ("resnet18", 48))
        )
    assert true_macs(lite, 608, 608) == pytest.approx(6.74e9, rel=0.01)
    assert true_macs(lite, 608, 608) < 0.6 * true_macs(narrow, 608, 608)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A detector with the pretrained backbone, and a random head whose scores differ."""
    folder, config = tmp_path_factory.mktemp("lite"), NetworkConfig(Preset.LCA, 2, NAMES[0], channels=16, head_convs=1)
    torch.manual_seed(0)
    network = build_network(config)
    load_backbone_weights(network.backbone, pretrained_weights(NAMES[0]))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("head") and parameter.ndim > 1:
                parameter.normal_(0.0, (2.0 / parameter[0].numel()) ** 0.5)
    path, content = folder / "model.safetensors", safetensors.torch.save(network.state_dict())
    path.write_bytes(content)
    mean, std, digest = (127.0,) * 3, (128.0,) * 3, hashlib.sha256(content).hexdigest()
    return ModelCard("lite", config, ("ship", "car"), 128, (0.1, 2.0), mean, std, path, digest, "none", "nothing")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 255, (2, 3, 128, 128), dtype=np.uint8)


@pytest.mark.parametrize("backend", [Backend.ONNX, Backend.OPENVINO])
def test_exported_graphs_find_the_same(card, images, backend):
    loose = DetectConfig(score=0.05)
    expected = load_predictor(card, loose, "cpu", Backend.TORCH, Precision.FP32).predict(images)
    assert min(len(found) for found in expected) > 5
    assert same(load_predictor(card, loose, "cpu", backend, Precision.FP32).predict(images), expected)


def test_a_graph_in_eight_bits_scores_nearly_the_same(card, tmp_path):
    labelled = read_coco(write_shapes(tmp_path / "shapes.json", 4))
    small = quantise_model.quantised(card, quantise_model.Images([labelled], card, 4), tmp_path / "small.toml")
    image = quantise_model.Images([labelled], card, 1).get_next()
    scores = []
    for graph in (onnx_graph(card), onnx_graph(small)):
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        scores.append(session.run(("scores",), image)[0].ravel())
    assert small.weights.stat().st_size < 0.5 * len(onnx_graph(card))
    assert np.corrcoef(*scores)[0, 1] > 0.9
    for backend in (Backend.ONNX, Backend.OPENVINO):
        assert load_predictor(small, DetectConfig(), "cpu", backend).engine.precision is Precision.INT8
