"""The rules of the echo server: right answers in all scripts, and every way to be wrong."""

from collections import Counter

import pytest

from pipelines.models.chat import Request
from pipelines.models.echo_rules import EchoRequest
from pipelines.synthesize.recipes import load_recipe, maker_of, shipped_recipes
from pipelines.synthesize.rewriting_echo import answer
from tests.synthesize.asking import made, seed
from tests.synthesize.test_refining import PAGES
from tests.synthesize.test_rewriting import TEXTS

OURS = [name for name in shipped_recipes() if maker_of(name) in ("rewrite", "refine")]


def echo(request: Request, salt: str = "") -> str:
    system, user = (message.text for message in request.messages)
    asked = EchoRequest(system=system, user=user, turns=(), key=request.key("echo") + salt)
    said = answer(asked)
    assert said is not None
    return said.text


def outcomes(name: str, text: str, language: str, tries: int) -> Counter[str]:
    found: Counter[str] = Counter()
    options = {}
    if maker_of(name) == "rewrite":
        options = {
            "chunks": {"min_tokens": 10},
            "accept": {"min_document_tokens": 9, "min_tokens": 9},
        }
    recipe = load_recipe(name, options)
    for number in range(tries):
        result, _ = made(
            recipe, seed(text, language), lambda asked, n=number: echo(asked, f"{n:x}")
        )
        found["accepted"] += result.accepted
        found.update(reject.reason for reject in result.rejects)
    return found


@pytest.mark.parametrize("name", OURS)
def test_most_answers_are_accepted_in_every_script(name: str) -> None:
    texts = {key: " ".join(pair) for key, pair in TEXTS.items()}
    if maker_of(name) == "refine":
        texts = {key: raw for key, (raw, _) in PAGES.items()}
    for language, text in texts.items():
        found = outcomes(name, text, language, 6)
        assert found["accepted"] >= 3, (language, found)


def test_every_way_to_be_wrong_occurs() -> None:
    text, said = TEXTS["eng_Latn"]
    rewrites = outcomes("rephrase_medium", f"{text} {said}", "eng_Latn", 150)
    assert set(rewrites) == {
        "accepted", "refused", "no_opening", "too_near_to_seed", "language_changed", "repeating",
        "too_short", "length_ratio", "empty",
    }  # fmt: skip
    raw = "A line of its own stands here and is read.\n" + PAGES["eng_Latn"][0]
    refined = outcomes("refine_ocr", raw, "eng_Latn", 100)
    assert {"accepted", "numbers_lost", "length_ratio", "empty"} <= set(refined)
    assert refined["accepted"] > 75


def test_other_requests_are_left_to_other_rules() -> None:
    asked = EchoRequest(system="Be brief.", user="<passage>\nx\n</passage>", turns=(), key="0")
    assert answer(asked) is None
