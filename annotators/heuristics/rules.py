"""The rules: which signal, compared with which threshold, drops a document, and for what reason.

Order is that of datatrove 0.10 within a set; the sets come in the order the caller names them, and
a document's reason is the first rule it fails. Defaults are those for English:

- gopher_quality: Rae et al. 2021, arXiv:2112.11446;
- gopher_repetition: the same, Table A1;
- c4: Raffel et al. 2020, arXiv:1910.10683: what its code does to lines, then to documents, see
  `lines.py`; of its rules two drop a document at once (lorem ipsum, a curly bracket), five drop a
  line (end, words, long word, JavaScript, policy), and a page with too few sentences left goes;
- c4_paragraph: mC4 (Xue et al. 2021, arXiv:2010.11934): three lines of 200 characters;
- fineweb: Penedo et al. 2024, arXiv:2406.17557, as in datatrove 0.10's
  FineWebQualityFilter (terminal punctuation of all scripts, quotes not among it).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotators.heuristics import signals as s


class Rule(NamedTuple):
    """One comparison. A document passes where its signal is equal to the threshold."""

    threshold: str
    """Name for overrides and language tables: the set, `min` or `max`, the signal."""
    signal: int
    """Place of the signal in a row of `signals.SIGNALS`."""
    default: float
    reason: str

    @property
    def is_minimum(self) -> bool:
        """Whether smaller values fail (otherwise larger ones)."""
        return "_min_" in self.threshold


RULES: dict[str, tuple[Rule, ...]] = {
    "gopher_quality": (
        Rule("gopher_min_words", s.GOPHER_NUM_WORDS, 50, "gopher_too_few_words"),
        Rule("gopher_max_words", s.GOPHER_NUM_WORDS, 100_000, "gopher_too_many_words"),
        Rule("gopher_min_mean_word_length", s.GOPHER_MEAN_WORD_LENGTH, 3, "gopher_short_words"),
        Rule("gopher_max_mean_word_length", s.GOPHER_MEAN_WORD_LENGTH, 10, "gopher_long_words"),
        Rule("gopher_max_hash_ratio", s.GOPHER_HASH_RATIO, 0.1, "gopher_hash_ratio"),
        Rule("gopher_max_ellipsis_ratio", s.GOPHER_ELLIPSIS_RATIO, 0.1, "gopher_ellipsis_ratio"),
        Rule("gopher_max_bullet_lines", s.GOPHER_BULLET_LINES, 0.9, "gopher_bullet_lines"),
        Rule("gopher_max_ellipsis_lines", s.GOPHER_ELLIPSIS_LINES, 0.3, "gopher_ellipsis_lines"),
        Rule("gopher_min_alpha_words", s.GOPHER_ALPHA_WORDS, 0.8, "gopher_alpha_words"),
        Rule("gopher_min_stop_words", s.GOPHER_STOP_WORDS, 2, "gopher_stop_words"),
    ),
    "gopher_repetition": (
        Rule("gopher_min_characters", s.GOPHER_NUM_CHARACTERS, 1, "gopher_empty"),
        *(
            Rule(f"gopher_max_{name}", signal, default, f"gopher_{name}")
            for name, signal, default in (
                ("dup_para_frac", s.GOPHER_DUP_PARA_FRAC, 0.3),
                ("dup_para_char_frac", s.GOPHER_DUP_PARA_CHAR_FRAC, 0.2),
                ("dup_line_frac", s.GOPHER_DUP_LINE_FRAC, 0.3),
                ("dup_line_char_frac", s.GOPHER_DUP_LINE_CHAR_FRAC, 0.2),
                ("top_2_gram", s.GOPHER_TOP_2_GRAM, 0.20),
                ("top_3_gram", s.GOPHER_TOP_3_GRAM, 0.18),
                ("top_4_gram", s.GOPHER_TOP_4_GRAM, 0.16),
                ("dup_5_gram", s.GOPHER_DUP_5_GRAM, 0.15),
                ("dup_6_gram", s.GOPHER_DUP_6_GRAM, 0.14),
                ("dup_7_gram", s.GOPHER_DUP_7_GRAM, 0.13),
                ("dup_8_gram", s.GOPHER_DUP_8_GRAM, 0.12),
                ("dup_9_gram", s.GOPHER_DUP_9_GRAM, 0.11),
                ("dup_10_gram", s.GOPHER_DUP_10_GRAM, 0.10),
            )
        ),
    ),
    "c4": (
        Rule("c4_max_lorem_ipsum", s.C4_LOREM_IPSUM, 0, "c4_lorem_ipsum"),
        Rule("c4_max_curly_bracket", s.C4_CURLY_BRACKET, 0, "c4_curly_bracket"),
        Rule("c4_min_sentences", s.C4_NUM_SENTENCES, 5, "c4_too_few_sentences"),
    ),
    "c4_paragraph": (Rule("c4_min_long_lines", s.C4_LONG_LINES, 3, "c4_too_few_long_lines"),),
    "fineweb": (
        Rule("fineweb_min_lines", s.FINEWEB_NUM_LINES, 1, "fineweb_empty"),
        *(
            Rule(f"fineweb_{side}_{name}", signal, default, f"fineweb_{name}")
            for side, name, signal, default in (
                ("min", "line_punct_ratio", s.FINEWEB_LINE_PUNCT_RATIO, 0.12),
                ("max", "short_line_ratio", s.FINEWEB_SHORT_LINE_RATIO, 0.67),
                ("max", "char_dup_ratio", s.FINEWEB_CHAR_DUP_RATIO, 0.01),
                ("max", "new_line_ratio", s.FINEWEB_NEW_LINE_RATIO, 0.3),
            )
        ),
    ),
}

DEFAULT_RULES = ("gopher_quality", "gopher_repetition", "fineweb")

THRESHOLDS = {rule.threshold: rule.default for rules in RULES.values() for rule in rules}
"""Name of every threshold and its value for English."""


def select_rules(names: Sequence[str]) -> tuple[Rule, ...]:
    """Gives the rules of the named sets, in the order named.

    Raises:
        ValueError: A name is unknown or stands twice.
    """
    unknown = [name for name in names if name not in RULES]
    if unknown:
        raise ValueError(f"unknown rules {unknown}; allowed are {list(RULES)}")
    if len(set(names)) < len(names):
        raise ValueError(f"rules {list(names)} name one set twice; name each at most once")
    return tuple(rule for name in names for rule in RULES[name])


def check_thresholds(overrides: Mapping[str, float | None]) -> None:
    """Checks the names and values of threshold overrides.

    Raises:
        ValueError: A name is unknown, or a value is neither a number nor None.
    """
    unknown = sorted(set(overrides) - set(THRESHOLDS))
    if unknown:
        raise ValueError(f"unknown thresholds {unknown}; allowed are {sorted(THRESHOLDS)}")
    for name, value in overrides.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and (not is_number or np.isnan(value)):
            raise ValueError(
                f"thresholds.{name}: found {value!r}; allowed is a number, or null to switch the "
                "rule off: correct it"
            )


def first_failures(
    rows: NDArray[np.float64], rules: Sequence[Rule], thresholds: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Finds the first rule that each document fails.

    Args:
        rows: Signals, `float64[num_texts, len(SIGNALS)]`.
        rules: The rules, in order.
        thresholds: One a document and rule, `float64[num_texts, len(rules)]`; NaN: rule is off.

    Returns:
        Index into `rules`, or `len(rules)` where none fails: `int64[num_texts]`.
    """
    first = np.full(len(rows), len(rules), dtype=np.int64)
    for index in reversed(range(len(rules))):
        values, limits = rows[:, rules[index].signal], thresholds[:, index]
        fails = values < limits if rules[index].is_minimum else values > limits
        first[fails] = index
    return first
