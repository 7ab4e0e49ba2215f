"""The 119 languages and dialects, typed, and the parents under which some of them are merged.

`languages119.csv` holds one row a label: the FLORES-200 code that is the label everywhere in
tokenmill, its ISO 639-3 code, its ISO 15924 script, an English name and a family. The list is that
of the Qwen3 technical report (arXiv 2505.09388, appendix, table "Languages and dialects").

Five parents follow the ISO 639-3 macrolanguage table (SIL, iso-639-3-macrolanguages.tab): Arabic,
Chinese, Persian, Serbo-Croatian and Malay. They are those whose members a sentence often does not
tell apart; the other macrolanguages have a single member among the 119. Minangkabau and Banjar are
members of Malay in that table too, but a sentence tells them from Malay and from each other, so
each is a group of its own here. Which of a parent's members a text is, `dialects` settles.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

TABLE: Final = Path(__file__).with_name("languages119.csv")

UNDETERMINED: Final = "und"
"""ISO 639-2 code of a text whose language is none of the 119 or cannot be told."""

MACROLANGUAGES: Final = {
    "ara": ("arb", "ars", "apc", "arz", "ary", "acm", "acq", "aeb"),
    "zho": ("zho", "yue"),
    "fas": ("pes", "prs"),
    "hbs": ("bos", "hrv", "srp"),
    "msa": ("ind", "zsm"),
}
"""ISO 639-3 macrolanguage to those of its members among the 119 that are hard to tell apart."""

_PARENT = {member: parent for parent, members in MACROLANGUAGES.items() for member in members}


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageLabel:
    """One of the 119 labels."""

    code: str
    """FLORES-200 code such as `fra_Latn`; what the column `language` holds."""
    iso639_3: str
    script: str
    """ISO 15924; `Hans`, `Hant` and `Jpan` are kept apart here, unlike in the column `script`."""
    english_name: str
    family: str

    @property
    def group(self) -> str:
        """The macrolanguage where there is one, else the language's own ISO 639-3 code."""
        return _PARENT.get(self.iso639_3, self.iso639_3)


@lru_cache(maxsize=1)
def language_labels() -> tuple[LanguageLabel, ...]:
    """The 119 labels in the order of the table."""
    with TABLE.open(encoding="utf-8", newline="") as rows:
        return tuple(LanguageLabel(**row) for row in csv.DictReader(rows))


def codes() -> tuple[str, ...]:
    """The 119 codes in the order of the table."""
    return tuple(label.code for label in language_labels())
