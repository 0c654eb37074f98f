"""Rows of a benchmark: printed as a table, written as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    peer: str = ""
    """Who `beside` is, where that differs from row to row."""
    cpu: float | None = None
    """CPU seconds of ours."""
    beside_cpu: float | None = None
    mib: float | None = None
    """Peak resident memory of ours."""
    busy: float | None = None
    """The share of all cores that worked meanwhile, for us, the server and the line."""

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
        costs = [("cpu", self.cpu), ("besideCpu", self.beside_cpu), ("mib", self.mib), ("busy", self.busy)]
        more: dict[str, object] = {name: round(value, 3) for name, value in costs if value is not None}
        if self.peer:
            more["peer"] = self.peer
        return {"name": self.name, "unit": self.unit, **rounded, "met": self.met, **more}

    def _numbers(self) -> list[tuple[str, float | None]]:
        return [("ours", self.ours), ("beside", self.beside), ("ratio", self.ratio), ("target", self.target)]


def show(title: str, rows: Sequence[Row]) -> None:
    """Prints the rows under a title; with the columns of cost where a row has them."""
    costs = any(row.cpu is not None or row.mib is not None or row.peer for row in rows)
    print(f"\n{title}")
    print(f"  {'':<58} {'unit':<5} {'ours':>9} {'beside':>9} {'ratio':>7} {'target':>7}", end="")
    print(f" {'CPU':>7} {'beside':>7} {'MiB':>6} {'busy':>5} {'beside is':<10}" if costs else "")
    for row in rows:
        numbers = "".join(f" {_text(value):>{width}}" for (_, value), width in zip(row._numbers(), (9, 9, 7, 7), strict=True))
        if costs:
            numbers += f" {_text(row.cpu):>7} {_text(row.beside_cpu):>7} {_text(row.mib):>6} {_text(row.busy):>5} {row.peer:<10}"
        verdict = {None: "", True: "  met", False: "  MISSED"}[row.met]
        print(f"  {row.name:<58} {row.unit:<5}{numbers}{verdict}".rstrip())


def write(name: str, rows: Sequence[Row]) -> Path:
    """Writes `bench/out/<name>.json`."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({"rows": [row.json() for row in rows]}, indent=1) + "\n")
    return path


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"
