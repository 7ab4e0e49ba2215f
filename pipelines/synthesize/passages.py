"""What stands in the places of a prompt for one chunk of a document."""

from typing import Final

from pipelines.synthesize.language_checks import english_name, judged
from pipelines.synthesize.prompts import PassagePrompt
from pipelines.synthesize.recipe import Seed

_NOT_GIVEN: Final = "(not given)"


def passage_values(prompt: PassagePrompt, chunk: str, seed: Seed) -> dict[str, str]:
    """Fills the places that a prompt has.

    Args:
        prompt: Of the recipe.
        chunk: What is asked about.
        seed: Its document. Where its language is not known, that of the chunk is judged.
    """
    values = {"passage": chunk}
    if "language" in prompt.places:
        name = english_name(seed.language) or english_name(judged(chunk).language)
        values["language"] = name or "the language of the passage"
    if "title" in prompt.places:
        values["title"] = seed.meta.get("title") or _NOT_GIVEN
    if "topic" in prompt.places:
        values["topic"] = str(seed.labels.get("topic") or _NOT_GIVEN)
    return values
