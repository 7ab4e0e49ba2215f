"""The maker `fill_in_the_middle`: code with its middle moved to the end, without a model.

A document becomes `prefix mark, prefix, suffix mark, suffix, middle mark, middle` (PSM), with the
marks of Qwen2.5-Coder (arXiv:2409.12186). How many of its files take this form is not published;
half is the usual share (Bavarian et al. 2022, arXiv:2207.14255, who go up to 0.9 without loss in
the plain form). The middle begins and ends at characters, as there, or at line ends, half and half;
where, is a hash of the document's id, so the same document is always cut alike. No character is
changed: prefix + middle + suffix is the document.

A mark is a string here. It becomes the id of its token where tokenizer.json has the token and does
not call it special, as those of Qwen2.5 and Qwen3 (151659 to 151661); where it is special, the
shards hold its characters (`token_shards.tokenizer`), and `marks` should name others.

The text is that of its seed in another order, so its kind and depth are those of the seed, and a
search for near duplicates takes the two for one: a mixture wants one of them.

A unit is a document of the share. Rejects: `holds_special_token` (a mark stands in the text: it
could not be told from ours), `too_short`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.models.desk import Desk
from pipelines.quantities import Share
from pipelines.synthesize.recipe import Draft, Kind, Made, Reject, Seed

_VERSION: Final = "1"
_FACTS: Final = ("repository", "path")
"""Keys of `meta` that stay with a file."""


class Marks(BaseModel):
    """Tokens around the three pieces."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = Field(default="<|fim_prefix|>", min_length=1)
    suffix: str = Field(default="<|fim_suffix|>", min_length=1)
    middle: str = Field(default="<|fim_middle|>", min_length=1)

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if len({self.prefix, self.suffix, self.middle}) < 3:
            raise ValueError("prefix, suffix and middle are three different marks")
        return self

    @property
    def all(self) -> tuple[str, str, str]:
        """The three."""
        return self.prefix, self.suffix, self.middle


class FillInTheMiddleMaker(BaseModel):
    """A recipe that moves middles to ends (a `Recipe`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    maker: Literal["fill_in_the_middle"]
    name: str = Field(min_length=1)
    about: str = ""
    rate: Share = 0.5
    """Share of the documents, by a hash of their ids."""
    line_share: Share = 0.5
    """Of these: cut at line ends; the others at any character."""
    min_characters: int = Field(default=40, ge=3)
    """A shorter text is not cut."""
    marks: Marks = Marks()
    seed: int = 0
    """Another seed chooses and cuts otherwise."""
    where: str | None = None
    """Condition on the labels of seeds."""

    kind: ClassVar[Kind] = "natural"
    needs_model: ClassVar[bool] = False
    supersedes: ClassVar[bool] = True
    """A mixture takes the document in this form or as it was, never both."""
    columns: ClassVar[tuple[str, ...]] = ()
    group_by: ClassVar[str | None] = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """All of it but the remark about it."""
        told: dict[str, Any] = self.model_dump(mode="json", exclude={"about"})
        return told | {"version": _VERSION}

    async def make(self, seeds: tuple[Seed, ...], desk: Desk) -> Made:
        """Cuts one document, if it is of the share."""
        (seed,) = seeds
        draws = _draws(seed.id, self.seed)
        if draws[0] >= self.rate:
            return Made(units=0, accepted=0)
        mark = next((mark for mark in self.marks.all if mark in seed.text), None)
        if mark is not None:
            return _rejected("holds_special_token", f"{mark} stands in the text")
        by_line = draws[1] < self.line_share
        pieces = cut(seed.text, draws[2], draws[3], by_line=by_line)
        if pieces is None or len(seed.text) < self.min_characters:
            message = f"{len(seed.text)} characters; at least {self.min_characters} are wanted"
            return _rejected("too_short", message)
        prefix, middle, suffix = pieces
        marks = self.marks
        draft = Draft(
            text=f"{marks.prefix}{prefix}{marks.suffix}{suffix}{marks.middle}{middle}",
            request=None,
            parents=(seed.id,),
            accepted_tokens=0,
            language=seed.language,
            meta={
                "fim": "psm",
                "split": "line" if by_line else "character",
                **{name: seed.meta[name] for name in _FACTS if name in seed.meta},
            },
        )
        return Made(units=1, accepted=1, drafts=[draft])


def cut(text: str, first: float, second: float, *, by_line: bool) -> tuple[str, str, str] | None:
    """Cuts a text at two of its places.

    Args:
        text: At least one character.
        first: Draw in [0, 1) for one place.
        second: Likewise for the other, among those that are left.
        by_line: Whether places are beginnings of lines and the end, or all between characters.

    Returns:
        Prefix, middle and suffix; the middle is not empty. None where there are no two places, or
        the middle would be all of the text.
    """
    places: Sequence[int] = range(len(text) + 1)
    if by_line:
        places = [0]
        while (end := text.find("\n", places[-1])) >= 0:
            places.append(end + 1)
        if places[-1] != len(text):
            places.append(len(text))
    if len(places) < 3:
        return None
    one = int(first * len(places))
    other = int(second * (len(places) - 1))
    other += other >= one
    begin, end = sorted((places[one], places[other]))
    if (begin, end) == (0, len(text)):
        return None if len(places) < 4 else (text[: places[1]], text[places[1] :], "")
    return text[:begin], text[begin:end], text[end:]


def joined(text: str, marks: Marks) -> str:
    """The document behind a text in this form.

    Raises:
        ValueError: It is not in this form.
    """
    before, prefix_mark, rest = text.partition(marks.prefix)
    prefix, suffix_mark, rest = rest.partition(marks.suffix)
    suffix, middle_mark, middle = rest.partition(marks.middle)
    if before or not (prefix_mark and suffix_mark and middle_mark):
        raise ValueError(
            f"the text is not {marks.prefix} ... {marks.suffix} ... {marks.middle} ..."
        )
    return prefix + middle + suffix


def _draws(id_: bytes, seed: int) -> tuple[float, float, float, float]:
    """Four numbers in [0, 1), fixed by the id."""
    digest = hashlib.blake2b(id_, digest_size=32, key=str(seed).encode(), person=b"middle").digest()
    # 53 bits: what a float of this size holds exactly.
    first, second, third, fourth = (
        (int.from_bytes(digest[8 * i : 8 * i + 8], "big") >> 11) / 2**53 for i in range(4)
    )
    return first, second, third, fourth


def _rejected(reason: str, message: str) -> Made:
    return Made(units=1, accepted=0, rejects=[Reject(reason=reason, message=message)])
