"""Recipe files: what is shipped, what is refused, and how prompts are filled."""

from pathlib import Path

import pyarrow as pa
import pytest

from pipelines.annotate.registry import BUILTIN, AnnotatorSpec
from pipelines.synthesize.prompts import PassagePrompt, check_places, filled, places_of
from pipelines.synthesize.recipes import (
    RecipeError,
    described,
    load_recipe,
    maker_of,
    shipped_recipes,
)
from pipelines.synthesize.refining import Refine
from pipelines.synthesize.rewriting import Rewrite
from pipelines.synthesize.seeds import check_where
from pipelines.synthesize.stage import _columns

OURS = [name for name in shipped_recipes() if maker_of(name) in ("rewrite", "refine")]


def test_the_shipped_recipes_of_rewriting_and_refinement() -> None:
    assert OURS == [
        "distill", "diverse_qa", "extract_knowledge", "instruction", "knowledge_list",
        "question_answer", "refine_ocr", "refine_web", "rephrase_easy", "rephrase_hard",
        "rephrase_medium", "rephrase_qa", "textbook", "wikipedia_style",
    ]  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_a_shipped_recipe_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, Rewrite | Refine)
    assert recipe.name == name
    assert described(name) == recipe.about != ""
    assert recipe.thinking == "off"
    assert {"passage", "language"} <= set(recipe.prompt.places)
    assert "in the language of the" in recipe.prompt.system.replace("\n", " ")
    specs = [AnnotatorSpec(BUILTIN[one], "{}") for one in ("language", "quality")]
    # Every corpus has the length of its documents.
    check_where(recipe.where, _columns(specs).append(pa.field("num_tokens", pa.int64())), name)


def test_system_messages_tell_recipes_apart() -> None:
    recipes = [load_recipe(name) for name in OURS]
    systems = {one.prompt.system for one in recipes if isinstance(one, Rewrite | Refine)}
    assert len(systems) == len(OURS)


def test_numbers_of_nemotron_cc() -> None:
    kinds = ("wikipedia_style", "diverse_qa", "distill", "extract_knowledge", "knowledge_list")
    found = []
    for name in kinds:
        recipe = load_recipe(name)
        assert isinstance(recipe, Rewrite)
        assert (recipe.sampling.temperature, recipe.sampling.top_p) == (0.5, 0.9)
        found.append((recipe.chunks.tokens, recipe.sampling.max_tokens))
    assert found == [(512, 512), (1000, 600), (2000, 1600), (1400, 1400), (1000, 600)]


def test_options_change_single_keys(tmp_path: Path) -> None:
    options = {"sampling": {"temperature": 0.1}, "samples": 3}
    recipe = load_recipe("distill", options)
    assert isinstance(recipe, Rewrite)
    assert recipe.sampling.temperature == 0.1
    assert recipe.sampling.max_tokens == 1600
    assert recipe.samples == 3
    assert recipe.identity != load_recipe("distill").identity
    own = tmp_path / "own.yaml"
    text = (Path(__file__).parents[2] / "pipelines/synthesize/recipes/distill.yaml").read_text(
        "utf-8"
    )
    own.write_text(text.replace("about: good pages, condensed", "about: other words"), "utf-8")
    assert load_recipe(str(own)).identity == load_recipe("distill").identity


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        ("destill", {}, "recipe 'destill': none of this name is shipped; did you mean 'distill'?"),
        ("distill", {"acept": {}}, "recipe distill.yaml: acept: unknown key 'acept'; did you mean"),
        ("distill", {"accept": {"novelty": 1}}, "accept.novelty: unknown key 'novelty'"),
        ("distill", {"sampling": {"temperature": 9}}, "sampling.temperature: found 9; allowed:"),
        ("distill", {"maker": "rewriter"}, "maker: found 'rewriter'; did you mean 'rewrite'?"),
        (
            "distill",
            {"prompt": {"user": "{pasage}"}},
            "the place {pasage} is unknown; did you mean",
        ),
        ("distill", {"prompt": {"user": "no place"}}, "a text with the place {passage}"),
        ("distill", {"prompt": {"system": "{passage}"}}, "the place {passage} is unknown"),
        ("distill", {"prompt": {"user": "{passage"}}, "other braces are doubled"),
        ("distill", {"prompt": {"user": "{passage!r}"}}, "other braces are doubled"),
        ("rephrase_qa", {"shape": {"pairs": {"answer": "Q:"}}}, "each must differ"),
    ],
)
def test_a_mistake_is_named(recipe: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe(recipe, options)
    assert said in str(error.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(RecipeError, match="a recipe is a mapping"):
        load_recipe(str(tmp_path / "list.yaml"))


def test_braces_of_values_are_text() -> None:
    prompt = PassagePrompt(system="Do {{it}}.", user="{language}: {passage} {{x}}")
    system, user = prompt.messages({"passage": "{language} {0} {{", "language": "C++ {y}"})
    assert (system.text, user.text) == ("Do {it}.", "C++ {y}: {language} {0} {{ {x}")
    assert prompt.hash != PassagePrompt(system="Do it.", user=prompt.user).hash
    assert len(prompt.hash) == 16
    assert places_of("{a} {b} {a}") == ("a", "b")
    assert filled("{a}", {"a": "{a}"}) == "{a}"
    with pytest.raises(ValueError, match="unknown"):
        check_places("{b}", ("a",))
