from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lcageo.data.formats.pairing import key_of, paired


def pair(
    wanted: Sequence[str], offered: Sequence[str], known: Mapping[str, str] | None = None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    keys = [{Path(name): key_of(Path(name)) for name in names} for names in (wanted, offered)]
    pairs, unclear = paired(keys[0], keys[1], {Path(a): Path(b) for a, b in (known or {}).items()})
    told = {str(file): [str(one) for one in others] for file, others in unclear.items()}
    return {str(a): str(b) for a, b in pairs.items()}, told


def test_keys_are_paths_without_the_words_for_images_and_labels() -> None:
    root = Path("/data/images")
    assert key_of(root / "Train" / "JPEGImages" / "A.b.PNG", root) == ("Train", "A.b")
    assert key_of(Path("labels/train/a.b.txt")) == key_of(Path("images/train/a.b.jpg")) == ("train", "a.b")
    assert key_of(Path("val/labelTxt-v1.5/a.txt")) == ("val", "a")


PAIRS: Mapping[str, tuple[Sequence[str], Sequence[str], dict[str, str], Sequence[str]]] = {
    "equal paths": (["a/1", "b/1"], ["b/1", "a/1"], {"a/1": "a/1", "b/1": "b/1"}, []),
    "one file for two kinds of image": (["1.jpg", "1.png"], ["1.txt"], {"1.jpg": "1.txt", "1.png": "1.txt"}, []),
    "longer paths on either side": (["x/a/1", "x/b/1"], ["a/1", "y/b/1"], {"x/a/1": "a/1", "x/b/1": "y/b/1"}, []),
    "a name of its own": (["x/1", "x/2"], ["y/2", "z/1"], {"x/1": "z/1", "x/2": "y/2"}, []),
    "two images of one name": (["a/1", "b/1"], ["1"], {}, ["a/1", "b/1"]),
    "two labels of one name": (["1"], ["a/1", "b/1"], {}, ["1"]),
    "what remains is of other folders": (["a/1", "b/1"], ["a/1", "c/1"], {"a/1": "a/1"}, ["b/1"]),
    "what is taken is not given again": (["a/1", "b/1"], ["a/1"], {"a/1": "a/1"}, []),
    "taken by a longer end": (["x/a/1", "x/b/1"], ["a/1"], {"x/a/1": "a/1"}, []),
    "equal keys of two": (["1"], ["labels/1", "annfiles/1"], {}, ["1"]),
    "capitals": (["A/1", "a/1", "B/2"], ["A/1", "a/1", "b/2"], {"A/1": "A/1", "a/1": "a/1", "B/2": "b/2"}, []),
    "FAIR1M, whose numbers recur": (
        ["train/part1/images/0", "validation/images/0", "test/images/0"],
        ["train/part1/labelXml/0", "validation/labelXml/0"],
        {"train/part1/images/0": "train/part1/labelXml/0", "validation/images/0": "validation/labelXml/0"},
        [],
    ),
    "nothing": (["1"], ["2"], {}, []),
}


@pytest.mark.parametrize(("wanted", "offered", "pairs", "unclear"), PAIRS.values(), ids=PAIRS)
def test_files_are_paired_only_where_it_is_clear(
    wanted: Sequence[str], offered: Sequence[str], pairs: dict[str, str], unclear: Sequence[str]
) -> None:
    found, doubtful = pair(wanted, offered)
    assert found == pairs and sorted(doubtful) == sorted(unclear)


def test_known_pairs_stay_and_what_is_unclear_has_its_candidates() -> None:
    assert pair(["a/1", "b/1"], ["c/1"], {"a/1": "c/1"}) == ({"a/1": "c/1"}, {})
    assert pair(["1"], ["a/1", "b/1"])[1] == {"1": ["a/1", "b/1"]}
