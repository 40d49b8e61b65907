import pytest
import torch

from lcageo.detector.neck import FeaturePyramid, P6From


def sizes_of(height: int, width: int) -> list[tuple[int, int]]:
    return [(-(-height // 2**k), -(-width // 2**k)) for k in range(3, 8)]


@pytest.mark.parametrize("height, width", [(640, 640), (800, 800), (1333, 800), (33, 257)])
@pytest.mark.parametrize("p6_from", P6From)
def test_levels_have_sizes_rounded_up_for_any_image(height, width, p6_from):
    features = tuple(torch.randn(1, c, *size) for c, size in zip((8, 16, 32), sizes_of(height, width), strict=False))
    levels = FeaturePyramid((8, 16, 32), 8, p6_from)(features)
    assert [tuple(p.shape) for p in levels] == [(1, 8, *size) for size in sizes_of(height, width)]


@pytest.mark.parametrize("p6_from, channels", [(P6From.C5, 32), (P6From.P5, 8)])
def test_p6_is_computed_from_the_map_that_is_asked_for(p6_from, channels):
    assert FeaturePyramid((8, 16, 32), 8, p6_from).p6.in_channels == channels


def test_p7_comes_after_a_relu():
    neck = FeaturePyramid((8, 8, 8), 8, P6From.P5)
    torch.nn.init.constant_(neck.p6.bias, -1e3)
    torch.nn.init.constant_(neck.p7.bias, 5)
    levels = neck(tuple(torch.randn(1, 8, n, n) for n in (16, 8, 4)))
    assert levels[3].lt(0).all() and levels[4].eq(5).all()
