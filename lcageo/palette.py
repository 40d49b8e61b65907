"""Colours of classes, the same in pictures, QGIS styles and report pages."""

from __future__ import annotations

PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
    (255, 255, 255),
    (136, 34, 85),
    (192, 224, 128),
    (204, 51, 17),
    (68, 170, 153),
    (17, 119, 51),
    (153, 153, 51),
    (221, 204, 119),
    (204, 102, 119),
    (170, 68, 153),
    (51, 34, 136),
    (187, 204, 238),
    (102, 51, 0),
)
"""Okabe and Ito's colours, which colour-blind readers can tell apart, with white instead of black; a light green that
differs from them and from all greys, of which concrete and asphalt are; then colours of Paul Tol's schemes, which are
nearly as safe. Twenty in all, as many as DIOR has classes."""
PANEL = (24, 28, 34)
"""Background colour of a legend."""


def class_colour(label: int) -> tuple[int, int, int]:
    """The colour of class `label`; repeats after twenty classes."""
    return PALETTE[label % len(PALETTE)]
