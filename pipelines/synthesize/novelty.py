"""How much of a text that a model made its seed does not have.

Novelty is the share of the distinct word 5-grams of a text that its seed lacks: 0 is a copy, 1
another text. Where a tenth of the seed's letters are written without spaces (Han, Kana, Thai, Lao,
Khmer, Burmese), the n-grams are of 8 letters and digits, as in `annotators.text.shingles`, and the
rule is the seed's for both texts, so that a translation is new and not incomparable. A text shorter
than one n-gram is one n-gram.

It says how literal a rewrite is, not how good: a paraphrase and an invention are both new.
"""

import numpy as np

from annotators.text.shingles import CHARACTERS_PER_SHINGLE, WORDS_PER_SHINGLE
from pipelines.synthesize.grams import grams_of, is_unspaced, units_of


def novelty(text: str, seed_text: str) -> float:
    """Measures how much of a text is new.

    Args:
        text: What was made.
        seed_text: What it was made of.

    Returns:
        Share in [0, 1] of the distinct n-grams of `text` that `seed_text` lacks; 0 for a text
        without a word.
    """
    by_characters = is_unspaced(seed_text)
    units = units_of(text, by_characters=by_characters)
    if not len(units):
        return 0.0
    size = min(CHARACTERS_PER_SHINGLE if by_characters else WORDS_PER_SHINGLE, len(units))
    grams = np.unique(grams_of(units, size))
    known = grams_of(units_of(seed_text, by_characters=by_characters), size)
    return float(np.mean(~np.isin(grams, known)))
