"""Which of the 119 codes the labels of other makers' models mean.

Four models are known by name, each with a table in `label_maps/` (columns `label` and `code`, and
`note` where something is lost): GlotLID v3 (Kargaran et al. 2023, arXiv:2310.16248; its merged
labels in languages-v3.md of cisnlp/GlotLID), OpenLID v2 (Burchell et al. 2023, arXiv:2305.13820, in
the spelling of FLORES-200 and of FLORES+), OpenLID v3 (Arabic and Persian merged, as its README
says) and fastText's own lid.176 (fasttext.cc, "Language identification": ISO 639-1 or 639-3 codes
without a script). A label that stands for several of the
119 is mapped to the one that most of its text will be in; the group is right then, and among
Chinese the characters still decide. What a model has no label for it never gives.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from annotators.language.languages import language_labels

_FOLDER: Final = Path(__file__).with_name("label_maps")

NAMES: Final = ("glotlid-v3", "lid.176", "openlid-v2", "openlid-v3")
"""Maps that are known by name."""


def read_label_map(label_map: str | Path | Mapping[str, str] | None) -> dict[str, str]:
    """Label to code of a map.

    Args:
        label_map: One of NAMES, a CSV file with the columns `label` and `code`, a mapping, or None.

    Raises:
        ValueError: There is no such map, it lacks a column, or a code is none of the 119.
    """
    if label_map is None:
        return {}
    if isinstance(label_map, Mapping):
        return _checked(dict(label_map), "label_map")
    if str(label_map) in NAMES:
        return _read(_FOLDER / f"{label_map}.csv")
    path = Path(label_map)
    if not path.is_file():
        raise ValueError(
            f"label_map is {str(label_map)!r}, which is neither a file nor one of the known maps "
            f"{', '.join(NAMES)}; name one of them, a CSV file with the columns label and code, or "
            "give the labels and codes themselves"
        )
    return _read(path)


def _read(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"label", "code"} <= set(rows.fieldnames or ()):
            raise ValueError(
                f"label_map: {path} has the columns {rows.fieldnames}; it needs label and code"
            )
        found = {str(row["label"]).removeprefix("__label__"): str(row["code"]) for row in rows}
    return _checked(found, f"label_map {path}")


def _checked(label_map: dict[str, str], where: str) -> dict[str, str]:
    allowed = {label.code for label in language_labels()}
    for label, code in label_map.items():
        if code not in allowed:
            raise ValueError(
                f"{where}: {label!r} is mapped to {code!r}, which is none of the 119 codes "
                "of annotators/language/languages119.csv, such as 'eng_Latn'"
            )
    return label_map
