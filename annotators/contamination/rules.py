"""When a document is contaminated: a rule for each kind of benchmark.

| kind | must be shared | contaminated |
|---|---|---|
| math | 13 words in a row | share of the item > 0.6 |
| code | 10 words in a row | at once, or by the name of the function asked for alone |
| text | 10 words in a row | share of the item > 0.5 |

They are those of Qwen2.5-Math (arXiv:2409.12122, section 2), of Qwen2.5-Coder (arXiv:2409.12186;
the names are ours, `entry_points`), and of Cosmopedia (its decontamination script). In labels they
are called lcs, ngram, entry_point and share.

The *share* is the longest common subsequence of words / words of the item; Cosmopedia sums the
matching blocks of difflib over characters, which is the same in kind and a little stricter.

A text of less than 13 words has hardly an n-gram of its own: it counts where all of it stands in
order without a gap (`whole`), and under 6 words it is no evidence and is not looked for. Words
are counted by weight (`words`): 6 words of prose are 11 Han letters.

**What is compared with a rule** (a *range*) follows from the roles of fields. The question is one.
Where it is made of several fields, as a passage and what is asked of it, each of 13 words and more
is one too: pages quote the one without the other. All options together are one, as they lie and
with letters before them (`layout`); a single short option is a sentence that many texts hold, but
one of 13 words and more is one, so that their order does not matter. Each field of the answer is
one. A question of less than 13 words is also compared together with its options. Options
and answers of less than 13 words flag nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from annotators.contamination.words import WORD

KINDS: Final = ("math", "code", "text")
WHOLE_WEIGHT: Final = 13 * WORD
"""Texts that weigh less are found whole or not at all."""
MIN_WEIGHT: Final = 6 * WORD
"""Texts that weigh less are not looked for."""


class RuleNumber(IntEnum):
    """How kernels call the rules; the names in labels are lower case."""

    LCS = 0
    NGRAM = 1
    SHARE = 2
    WHOLE = 3
    ENTRY_POINT = 4


class Rule(NamedTuple):
    """What makes a quotation of a range contamination."""

    number: RuleNumber
    ngram_weight: int
    """Weight of the run of words that must be shared."""
    threshold: float
    """The share of the range must be larger."""


RULES: Final = {
    "math": Rule(RuleNumber.LCS, 13 * WORD, 0.6),
    "code": Rule(RuleNumber.NGRAM, 10 * WORD, 0.0),
    "text": Rule(RuleNumber.SHARE, 10 * WORD, 0.5),
}


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of the words of an item that is compared on its own."""

    first: int
    last: int
    """The word after the last."""
    rule: RuleNumber
    field: str
    """Field, or fields joined by `+`."""
    part: int = 0
    """Number of the part of the item (`items`) that it is of."""


class Section(NamedTuple):
    """Fields of an item that belong together, in words of the item."""

    role: str
    """question, options or answer."""
    field: str
    first: int
    last: int
    weight: int
    part: int = 0
    """Number of the part of the item (`items`)."""
    pieces: "tuple[Section, ...]" = ()
    """Its fields, or its options, where there are several."""


def stand_together(question: Section, options: Section) -> bool:
    """Says whether a question is so short that it is also compared with its options."""
    return question.weight < WHOLE_WEIGHT <= question.weight + options.weight


def ranges_of(sections: Sequence[Section], kind: str) -> list[Range]:
    """Says what of an item is compared with which rule.

    Args:
        sections: In the order of their words: the question, the options, each field of the answer,
            further forms of the options; those without words are left out.
        kind: Of the benchmark.

    Returns:
        The ranges, the whole before its pieces; empty where nothing is long enough.
    """
    rule = RULES[kind].number
    made = []
    question = next((one for one in sections if one.role == "question"), None)
    options = next((one for one in sections if one.role == "options"), None)
    for section in sections:
        for one in (section, *section.pieces):
            if one.weight >= WHOLE_WEIGHT:
                made.append(Range(one.first, one.last, rule, one.field, one.part))
        if section.role == "question" and MIN_WEIGHT <= section.weight < WHOLE_WEIGHT:
            whole = RuleNumber.WHOLE
            made.append(Range(section.first, section.last, whole, section.field, section.part))
    if question and options and stand_together(question, options):
        field = f"{question.field}+{options.field}"
        made.append(Range(question.first, options.last, rule, field, question.part))
    return made


_THRESHOLDS: Final = {rule.number: round(rule.threshold * 10) for rule in RULES.values()}


def is_contaminated(rule: int, common_words: int, num_words: int) -> bool:
    """Says whether a quotation is contamination by the rule of its range.

    In integers: 6 of 10 words are not more than 0.6.
    """
    return common_words * 10 > _THRESHOLDS.get(RuleNumber(rule), 0) * num_words
