"""A squarified treemap: weights -> rectangles whose shapes are near squares (Bruls, Huizing, van Wijk, 2000).

Pure geometry; what is drawn with it is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle by its upper left corner and its sides."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, margin: float, top: float) -> Rectangle:
        """What is left inside of a border and a headline."""
        width, height = max(self.width - 2 * margin, 0.0), max(self.height - margin - top, 0.0)
        return Rectangle(self.x + margin, self.y + top, width, height)


def squarify(weights: Sequence[float], within: Rectangle) -> list[Rectangle]:
    """A rectangle for each weight, in order, that fill the space; weights fall and are above 0."""
    total = sum(weights)
    if not total or not within.width or not within.height:
        return [Rectangle(within.x, within.y, 0.0, 0.0) for _ in weights]
    scale = within.width * within.height / total
    areas = [weight * scale for weight in weights]
    placed: list[Rectangle] = []
    left = within
    start = 0
    while start < len(areas):
        end = start + 1
        side = min(left.width, left.height)
        while end < len(areas) and _worst(areas[start : end + 1], side) <= _worst(areas[start:end], side):
            end += 1
        row, left = _lay_row(areas[start:end], left)
        placed += row
        start = end
    return placed


def _worst(areas: Sequence[float], side: float) -> float:
    """The worst relation of sides in a row along `side`."""
    total = sum(areas)
    if not total or not side:
        return float("inf")
    return max(max(side * side * area / total**2, total**2 / (side * side * area)) for area in areas if area)


def _lay_row(areas: Sequence[float], left: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """Put a row along the shorter side; the rectangles, and what is left."""
    total = sum(areas)
    if left.width >= left.height:
        width = total / left.height if left.height else 0.0
        y = left.y
        row = []
        for area in areas:
            height = area / width if width else 0.0
            row.append(Rectangle(left.x, y, width, height))
            y += height
        return row, Rectangle(left.x + width, left.y, max(left.width - width, 0.0), left.height)
    height = total / left.width if left.width else 0.0
    x = left.x
    row = []
    for area in areas:
        width = area / height if height else 0.0
        row.append(Rectangle(x, left.y, width, height))
        x += width
    return row, Rectangle(left.x, left.y + height, left.width, max(left.height - height, 0.0))
