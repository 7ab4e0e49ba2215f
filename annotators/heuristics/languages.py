"""What the rules ask of each language: thresholds and stop words.

English has the published values (`rules.py`) and the stop words of Rae et al. 2021
(arXiv:2112.11446). The other 118 languages have those of FineWeb-2 (Penedo et al. 2025,
arXiv:2506.20920; its configs, commit d0defb2), which tunes each filter for each language, in
`languages.json`; where FineWeb-2 has no entry of the code, a near one serves:
arb_Arab for acq_Arab, ekk_Latn for est_Latn, fas_Arab for pes_Arab and prs_Arab, fil_Latn for
tgl_Latn, yue_Hani for yue_Hant, cmn_Hani for zho_Hans and zho_Hant. So every one of the 119 has
stop words. FineWeb-2 also switches rules off for all its languages and loosens one (its pipeline
script): no duplicate paragraphs, no duplicate line characters, no short lines, 0.1 for duplicate
characters. Its values are changed in `languages.json` where clean text showed that they do not fit
one tokenizer for all languages (SIB-200 / FLORES dev, 12 sentences a document):

- share of tokens with a letter: at most 0.916 of the language's median in clean text, which is
  where English stands (0.8 / 0.873); lowers 64 languages (mlt_Latn 0.823 to 0.685, tpi_Latn 0.972
  to 0.763, the others by 0.081 or less);
- Egyptian Arabic, Korean, Malayalam, Tamil, Tatar and Telugu stop words: frequent whole words
  (in 8 of the documents of SIB-200 / FLORES dev or more), for the lists held morphemes, words of
  one kind of Wikipedia page, or too few that clean text has; Malayalam and Tamil keep their own
  beside them;
- entries without a letter (U+00B7, U+30FB, U+200B) are left out.

`und`, and a null label, has no stop-word rule, the widest range of mean word lengths and the lowest
shares of letters and of terminal punctuation in the table, and the median of all else.
"""

import functools
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.heuristics.rules import THRESHOLDS, Rule

TABLE = Path(__file__).parent / "languages.json"

ENGLISH, UNDETERMINED = "eng_Latn", "und"

ENGLISH_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

_FINEWEB2_FIXED: dict[str, float | None] = {
    "gopher_max_dup_para_frac": None,
    "gopher_max_dup_para_char_frac": None,
    "gopher_max_dup_line_char_frac": None,
    "fineweb_max_short_line_ratio": None,
    "fineweb_max_char_dup_ratio": 0.1,
}


class Language(NamedTuple):
    """The parameters of one language."""

    thresholds: Mapping[str, float | None]
    """Where they differ from English; None switches a rule off."""
    stop_words: tuple[str, ...]


@functools.cache
def languages() -> dict[str, Language]:
    """Gives the parameters of the 119 languages and `und`, in a fixed order.

    Raises:
        ValueError: The table is missing or damaged.
    """
    try:
        return _languages(json.loads(TABLE.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the table of languages {TABLE} cannot be read ({error}); reinstall tokenmill"
        ) from None


def _languages(table: Mapping[str, Any]) -> dict[str, Language]:
    """Reads the table."""
    found = {ENGLISH: Language({}, ENGLISH_STOP_WORDS)}
    for code, (values, words) in table["languages"].items():
        thresholds = dict(zip(table["columns"], values, strict=True))
        if code in table["capped_alpha_words"]:
            thresholds["gopher_min_alpha_words"] = table["capped_alpha_words"][code]
        stop_words = table["replaced_stop_words"].get(code, words)
        found[code] = Language(_FINEWEB2_FIXED | thresholds, tuple(stop_words))
    columns = {
        name: [language.thresholds[name] for code, language in found.items() if code != ENGLISH]
        for name in table["columns"]
    }
    found[UNDETERMINED] = _undetermined(columns)
    return found


def _undetermined(columns: Mapping[str, Sequence[float | None]]) -> Language:
    """Derives the parameters of an unknown language from the columns of the table."""
    thresholds = dict(_FINEWEB2_FIXED)
    for name, column in columns.items():
        values = [value for value in column if value is not None]
        if "_min_" in name:
            thresholds[name] = min(values)
        elif name == "gopher_max_mean_word_length":
            thresholds[name] = max(values)
        else:
            thresholds[name] = statistics.median(values)
    return Language(thresholds | {"gopher_min_stop_words": None}, ())


def threshold_table(
    rules: Sequence[Rule], overrides: Mapping[str, float | None]
) -> NDArray[np.float64]:
    """Gives the threshold of every rule in every language.

    Args:
        rules: The rules, in order.
        overrides: Values that replace those of every language; None switches a rule off.

    Returns:
        `float64[len(languages()), len(rules)]`, NaN where a rule is off.
    """
    return np.array(
        [
            [np.nan if (value := values[rule.threshold]) is None else value for rule in rules]
            for values in (
                THRESHOLDS | dict(language.thresholds) | dict(overrides)
                for language in languages().values()
            )
        ],
        dtype=np.float64,
    ).reshape(len(languages()), len(rules))
