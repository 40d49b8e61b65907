"""Names that file systems allow and libraries take for something else."""

from __future__ import annotations

from hypothesis import strategies as st

CHARACTERS = "ab!?#%;:&+'\"*[]{}()<>|=,@~$ ^é\t\n"
NAMES = st.text(CHARACTERS, min_size=1, max_size=12).filter(lambda name: name == name.strip())
