"""Middles moved to the end: nothing is lost, and the same document is always cut alike."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from pipelines.models.desk import Desk, open_desk
from pipelines.synthesize.programs.fill_in_the_middle import (
    FillInTheMiddleMaker,
    Marks,
    cut,
    joined,
)
from pipelines.synthesize.recipe import Made, Seed
from pipelines.synthesize.recipes import RecipeError, load_recipe
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace
from token_shards.tokenizer import load_tokenizer

CODE = "def größe(x):\n    # 数える\n    return len(x)\n\n\nprint(größe('สวัสดี'), '🙂')\n"
MARKS = Marks()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    workspace = Workspace.create(str(tmp_path / "workspace"))
    children = Children(Limits(processes=1))
    with open_desk(None, workspace, PartKey("s", 0), children) as opened:
        return opened


def maker(**options: object) -> FillInTheMiddleMaker:
    recipe = load_recipe("fill_in_the_middle", options)
    assert isinstance(recipe, FillInTheMiddleMaker)
    return recipe


def seed_of(number: int, text: str = CODE, **meta: str) -> Seed:
    return Seed(id=number.to_bytes(16, "big"), text=text, language=None, meta=meta)


def cook(desk: Desk, recipe: FillInTheMiddleMaker, *seeds: Seed) -> list[Made]:
    return list(desk.map_ordered(seeds, lambda seed: recipe.make((seed,), desk)))


def test_every_document_can_be_put_together_again(desk: Desk) -> None:
    made = cook(desk, maker(rate=1), *(seed_of(n, path="a.py") for n in range(200)))
    assert all((one.units, one.accepted, one.rejects) == (1, 1, ()) for one in made)
    drafts = [one.drafts[0] for one in made]
    assert {joined(draft.text, MARKS) for draft in drafts} == {CODE}
    assert {draft.meta["split"] for draft in drafts} == {"line", "character"}
    assert {draft.meta["path"] for draft in drafts} == {"a.py"}
    assert len({draft.text for draft in drafts}) > 100
    for draft in drafts:
        head, _, middle = draft.text.partition(MARKS.middle)
        assert middle
        if draft.meta["split"] == "line":
            prefix = head.removeprefix(MARKS.prefix).partition(MARKS.suffix)[0]
            assert prefix == "" or prefix.endswith("\n")
            assert middle.endswith("\n")


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(min_size=1, max_size=60),
    first=st.floats(0, 1, exclude_max=True),
    second=st.floats(0, 1, exclude_max=True),
    by_line=st.booleans(),
)
def test_cuts_change_no_character(text: str, first: float, second: float, by_line: bool) -> None:
    pieces = cut(text, first, second, by_line=by_line)
    if pieces is None:
        assert len(text) < 2 or text.count("\n") < 2
    else:
        assert "".join(pieces) == text
        assert pieces[1] not in ("", text)


def test_the_share_is_chosen_by_the_id_and_grows_with_the_rate(desk: Desk) -> None:
    seeds = [seed_of(n) for n in range(1000)]
    half, again = (cook(desk, maker(), *some) for some in (seeds, seeds[::-1]))
    most = cook(desk, maker(rate=0.9), *seeds)
    assert 440 < sum(one.units for one in half) < 560
    assert [one.drafts for one in half] == [one.drafts for one in again[::-1]]
    assert all(two.drafts == one.drafts for one, two in zip(half, most, strict=True) if one.units)
    assert any(one.drafts for one in cook(desk, maker(seed=1), *seeds) if one.drafts not in half)


def test_what_cannot_be_cut_has_a_reason(desk: Desk) -> None:
    texts = ["x = 1", CODE + "# <|fim_suffix|>", "one line without an end, but long enough"]
    recipe = maker(rate=1, line_share=1)
    made = cook(desk, recipe, *(seed_of(n, text) for n, text in enumerate(texts)))
    reasons = [one.rejects[0].reason for one in made]
    assert reasons == ["too_short", "holds_special_token", "too_short"]


def test_marks_become_ids_where_the_tokenizer_does_not_call_them_special(tmp_path: Path) -> None:
    ids = {}
    for special in (False, True):
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokenizer = Tokenizer(models.BPE({c: n for n, c in enumerate(sorted(alphabet))}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.add_special_tokens(["<|endoftext|>"])
        tokenizer.add_tokens(
            [AddedToken(one, special=special, normalized=False) for one in MARKS.all]
        )
        path = tmp_path / f"{special}.json"
        tokenizer.save(str(path))
        loaded = load_tokenizer(path, eod="<|endoftext|>")
        text = f"{MARKS.prefix}a{MARKS.suffix}b{MARKS.middle}c"
        ids[special] = loaded.encode(pa.array([text], pa.large_string())).ids.tolist()
    marks = [257, 258, 259]
    assert [one for one in ids[False] if one in marks] == marks
    assert len(ids[True]) - len(ids[False]) == sum(map(len, MARKS.all)) - len(marks)
    assert not set(ids[True]) & set(marks)


def test_marks_must_differ() -> None:
    with pytest.raises(RecipeError, match="three different marks"):
        maker(marks={"prefix": "<|fim_middle|>"})
