"""Unit costs as data: what one gigabyte, one million documents, one part takes of everything.

They stand in `unit_costs.yaml`, written by `benchmarks/scale.py` from runs of the line over real
data, each with the lowest and the highest of what was measured, what it was measured on, when, and
by which command. Nothing else in this folder holds a measured figure, so a faster stage is measured
again and every estimate follows.

Core-seconds are user and system seconds of the whole process tree, without what a start takes
(interpreter, models, kernels), on the machine that the file names; another machine's cores differ.
"""

from functools import cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

FILE: Final = Path(__file__).with_name("unit_costs.yaml")


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UnitCost(_Data):
    """One measured figure."""

    value: float
    low: float
    """The lowest of the runs."""
    high: float
    """The highest of the runs; equal to `low` where there was one."""
    unit: str
    """Such as `core-seconds / GB of text`."""
    on: str
    """What it was measured on."""

    @model_validator(mode="after")
    def _is_ordered(self) -> "UnitCost":
        if not 0 <= self.low <= self.value <= self.high:
            raise ValueError(
                f"found {self.low}, {self.value}, {self.high}; allowed: 0 <= low <= value <= high; "
                "measure again with benchmarks/scale.py"
            )
        return self


class Units(_Data):
    """All unit costs, and where they were measured."""

    machine: str
    date: str
    command: str
    costs: dict[str, UnitCost]

    def cost(self, name: str) -> UnitCost:
        """One figure.

        Raises:
            ValueError: It was not measured.
        """
        if name not in self.costs:
            raise ValueError(
                f"unit costs: found no {name!r}; allowed: {', '.join(sorted(self.costs))}; measure "
                "it with benchmarks/scale.py"
            )
        return self.costs[name]

    def under(self, prefix: str) -> dict[str, UnitCost]:
        """Figures whose name begins with `<prefix>.`, by the rest of their names."""
        start = f"{prefix}."
        return {n.removeprefix(start): c for n, c in self.costs.items() if n.startswith(start)}


@cache
def load_units(file: Path = FILE) -> Units:
    """Reads unit costs, by default those that are shipped.

    Raises:
        ValueError: The file is none of unit costs.
    """
    return Units.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
