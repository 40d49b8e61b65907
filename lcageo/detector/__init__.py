"""The network: backbones, necks, heads and presets of LCA-Det and its comparison systems. Torch only."""
