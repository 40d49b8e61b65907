"""Number of parameters, and computational cost by two rules: that of the paper's Table I, and the true one.

Networks on the meta device are counted without computing anything:

    with torch.device("meta"):
        network = build_network(config)
    paper_flops(network, 800, 800)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lcageo.detector.network import Network


def count_params(network: nn.Module) -> int:
    """Trainable parameters: frozen stages and frozen normalisation do not count."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def paper_flops(network: Network, height: int, width: int) -> int:
    """Operations for one image as the paper's Table I counts them.

    Multiply-accumulates of convolutions, one per output value for a bias, two for an affine normalisation, one for a
    ReLU, one per input value for max-pooling. Only modules count, which leaves out LCA-H's batched products: that is
    why the table shows `lca-h` as cheaper than its baseline. See `true_macs`.

    Source:
        Found by agreement with all six rows (LCA-DET.md, section 1); mmcv and older ptflops count by such module hooks.
    """
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        total += _module_flops(module, inputs[0], output)

    hooks = [module.register_forward_hook(add) for module in network.modules() if isinstance(module, _COUNTED)]
    try:
        _run_once(network, height, width)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def true_macs(network: Network, height: int, width: int) -> int:
    """Multiply-accumulates of one image's convolutions and matrix products, batched products included."""
    with FlopCounterMode(display=False) as counter:
        _run_once(network, height, width)
    return int(counter.get_total_flops()) // 2  # the counter counts a multiply-accumulate as two


_COUNTED = (nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm, nn.ReLU, nn.ReLU6, nn.MaxPool2d)


def _module_flops(module: nn.Module, first_input: Tensor, output: Tensor) -> int:
    match module:
        case nn.Conv2d():
            return output.numel() * (module.weight[0].numel() + (module.bias is not None))
        case nn.BatchNorm2d() | nn.GroupNorm():
            return 2 * output.numel() if module.affine else 0
        case nn.MaxPool2d():
            return first_input.numel()
        case _:
            return output.numel()


def _run_once(network: Network, height: int, width: int) -> None:
    """One forward pass on the network's device, in evaluation mode."""
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, height, width, device=device))
    finally:
        network.train(training)
