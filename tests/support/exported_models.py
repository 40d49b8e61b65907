"""An exported model and its descriptions."""

from __future__ import annotations

SIZE, PADDING = 256, 64
