"""Rows of a benchmark: printed as a table, written as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

OUT = Path(__file__).parent / "out"


class Row(NamedTuple):
    """One measured figure beside its peer's."""

    name: str
    unit: str
    ours: float
    beside: float | None = None
    target: float | None = None
    """The most that `ratio` (where there is a peer) or `ours` may be."""

    @property
    def ratio(self) -> float | None:
        return None if self.beside is None else self.ours / self.beside

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return (self.ours if self.ratio is None else self.ratio) <= self.target

    def json(self) -> dict[str, object]:
        rounded = {name: None if value is None else round(value, 3) for name, value in self._numbers()}
        return {"name": self.name, "unit": self.unit, **rounded, "met": self.met}

    def _numbers(self) -> list[tuple[str, float | None]]:
        return [("ours", self.ours), ("beside", self.beside), ("ratio", self.ratio), ("target", self.target)]


def show(title: str, rows: list[Row]) -> None:
    """Prints the rows under a title."""
    print(f"\n{title}")
    print(f"  {'':<58} {'unit':<5} {'ours':>9} {'beside':>9} {'ratio':>7} {'target':>7}")
    for row in rows:
        numbers = "".join(f" {_text(value):>{width}}" for (_, value), width in zip(row._numbers(), (9, 9, 7, 7), strict=True))
        verdict = {None: "", True: "  met", False: "  MISSED"}[row.met]
        print(f"  {row.name:<58} {row.unit:<5}{numbers}{verdict}")


def write(name: str, rows: list[Row]) -> Path:
    """Writes `bench/out/<name>.json`."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({"rows": [row.json() for row in rows]}, indent=1) + "\n")
    return path


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
