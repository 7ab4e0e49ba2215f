"""Recipes of mathematics from seed to documents, over HTTP, with the sandbox and child processes.

The model is the echo server with rules of these tests: what each attempt says is fixed by hand.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.models.desk import open_desk
from pipelines.models.echo import EchoServer
from pipelines.models.echo_rules import EchoAnswer, EchoRequest, Rule
from pipelines.models.faults import Faults
from pipelines.models.handler import Handler
from pipelines.models.server import upstream
from pipelines.models.settings import ModelConfig
from pipelines.synthesize.mathematics import comparing
from pipelines.synthesize.mathematics.echo import answer as echo_rule
from pipelines.synthesize.mathematics.maker import MathMaker
from pipelines.synthesize.mathematics.prompts import shipped_prompts
from pipelines.synthesize.prompts import filled
from pipelines.synthesize.recipe import Made, Seed
from pipelines.synthesize.recipes import RecipeError, load_recipe
from pipelines.synthesize.samples import samples_batch
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

ROLES = {
    filled(getattr(shipped_prompts(), role).system, {}).strip(): role
    for role in type(shipped_prompts()).model_fields
}
STEPS = "First we add the boxes one by one, then we add what is left over, and check the sum. "


@contextmanager
def served(rules: Sequence[Rule], faults: Faults | None = None) -> Iterator[str]:
    """An echo server with these rules; gives its URL."""
    ready, ended, urls = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with EchoServer(faults, rules=list(rules)).serving() as url:
            urls.append(url)
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        ended.set()
        thread.join(30)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    made = Children(Limits(processes=1))
    yield made
    made.close()


def cook(
    recipe: MathMaker,
    seeds: Sequence[Seed],
    url: str,
    workspace: Workspace,
    children: Children,
    **model_keys: object,
) -> tuple[list[Made], dict[str, Any]]:
    """Makes what a job would make of some seeds; gives also the usage."""
    told = {"engine": "endpoint", "model": "echo", "url": url, "thinking": "template"}
    model = ModelConfig.model_validate({**told, **model_keys})
    recipe.check_model(model)
    handler = Handler(model, upstream(model))
    try:
        with open_desk(model, workspace, PartKey("web.math", 0), children, handler=handler) as desk:

            async def make(seed: Seed) -> Made:
                return await recipe.make((seed,), desk)

            made = list(handler.map_ordered(seeds, make))
            usage = desk.usage.to_json()
    finally:
        handler.close()
    for one in made:
        assert one.units == one.accepted + len(one.rejects)
        samples_batch(one.samples)
    return made, usage


def solving(**changes: Any) -> MathMaker:  # noqa: ANN401
    """The recipe for given problems, with four attempts in prose."""
    told = {
        "solutions": {"chain_of_thought": {"samples": 4, "thinking": "on"}},
        "extra": {"samples": 4, "most": 4},
        **changes,
    }
    return MathMaker.model_validate(
        {"maker": "mathematics", "name": "mine", "problems": {"made_from": "seed"}, **told}
    )


def seed(text: str = "What is 5 + 7?", **changes: Any) -> Seed:  # noqa: ANN401
    return Seed(**{"id": bytes(16), "text": text, "language": "eng_Latn", **changes})


def attempts(**says: Sequence[EchoAnswer | str]) -> Rule:
    """Answers the attempts of each style in turn; what is asked is kept as `asked`."""
    given: Counter[str] = Counter()
    by_key: dict[str, EchoAnswer] = {}

    def rule(asked: EchoRequest) -> EchoAnswer | None:
        role = ROLES[asked.system.strip()]
        if asked.key not in by_key:
            said = says[role][given[role] % len(says[role])]
            given[role] += 1
            by_key[asked.key] = said if isinstance(said, EchoAnswer) else EchoAnswer(said)
        return by_key[asked.key]

    return rule


def good(answer: str, thinking: str | None = None) -> EchoAnswer:
    return EchoAnswer(f"{STEPS}\n\\boxed{{{answer}}}", thinking)


def solved(recipe: MathMaker, rule: Rule, of: Seed, tmp_path: Path, children: Children) -> Made:
    with served([rule]) as url:
        workspace = Workspace.create(str(tmp_path / "w"))
        (made,), _ = cook(recipe, [of], url, workspace, children)
    return made


def verdicts(made: Made) -> Counter[str | None]:
    return Counter(row["reason"] for row in made.samples)


def test_the_majority_is_accepted_and_becomes_a_document(
    tmp_path: Path, children: Children
) -> None:
    rule = attempts(chain_of_thought=[good("12"), good("12.0"), good("24/2"), good("13")])
    made = solved(solving(), rule, seed(), tmp_path, children)
    (draft,) = made.drafts
    assert draft.text.startswith(f"What is 5 + 7?\n\n{STEPS.strip()}")
    assert draft.parents == (bytes(16),)
    assert draft.request is not None
    assert draft.request.thinking == "on"
    told = {
        key: draft.meta[key] for key in ("answer", "answer_from", "difficulty", "style", "votes")
    }
    assert told == {
        "answer": draft.meta["answer"],
        "answer_from": "consensus",
        "difficulty": "0.250",
        "style": "chain_of_thought",
        "votes": "3/4",
    }
    assert draft.meta["answer"] in ("12", "12.0", "24/2")
    assert verdicts(made) == {None: 3, "wrong_answer": 1}
    assert {row["reference_from"] for row in made.samples} == {"consensus"}
    assert {row["problem"].hex() for row in made.samples} == {draft.meta["problem"]}
    assert sorted(row["attempt"] for row in made.samples) == [0, 1, 2, 3]


def test_the_answer_of_the_source_decides(tmp_path: Path, children: Children) -> None:
    rule = attempts(chain_of_thought=[good("13"), good("13"), good("13"), good("12")])
    of = seed(meta={"answer": r"The answer is \boxed{12}"})
    made = solved(solving(), rule, of, tmp_path, children)
    assert made.accepted == 1
    assert made.drafts[0].meta["votes"] == "1/4"
    assert made.drafts[0].meta["answer_from"] == "source"
    assert verdicts(made) == {None: 1, "wrong_answer": 3}
    assert {row["reference"] for row in made.samples} == {"12"}
    assert {round(row["pass_rate"], 3) for row in made.samples} == {0.25}


def test_no_attempt_agrees_with_the_source(tmp_path: Path, children: Children) -> None:
    rule = attempts(chain_of_thought=[good("13")])
    made = solved(solving(), rule, seed(meta={"answer": "12"}), tmp_path, children)
    assert [(one.reason, one.message) for one in made.rejects] == [
        ("not_solved", "none of 4 attempts comes to '12'")
    ]
    assert verdicts(made) == {"wrong_answer": 4}
    assert {row["pass_rate"] for row in made.samples} == {0.0}


def test_hard_items_get_further_attempts(tmp_path: Path, children: Children) -> None:
    says = [good("13")] * 4 + [good("12"), good("14"), good("15"), good("16")]
    recipe = solving(extra={"samples": 4, "most": 12})
    made = solved(
        recipe, attempts(chain_of_thought=says), seed(meta={"answer": "12"}), tmp_path, children
    )
    assert made.accepted == 1
    assert len(made.samples) == 8  # no third round: one attempt was right
    assert made.drafts[0].meta["difficulty"] == "0.875"


def test_cold_start_filters(tmp_path: Path, children: Children) -> None:
    loop = EchoAnswer(f"{STEPS}\n" * 5 + r"\boxed{12}")
    says = [
        good("12"),
        loop,
        EchoAnswer(r"\boxed{12}"),
        EchoAnswer(f"{STEPS} I guess that it is \\boxed{{12}}"),
        good("12", r"Let us add. It is \boxed{13}."),
        good("12", r"Let us add. It is \boxed{12.0}."),
        EchoAnswer("Сначала сложим коробки одну за другой, потом всё остальное. \\boxed{12}"),
        EchoAnswer(f"{STEPS} The answer is 12."),
        EchoAnswer("I cannot say what comes out here, however long I look at these numbers."),
        good("13"),
    ]
    recipe = solving(
        solutions={"chain_of_thought": {"samples": 10, "thinking": "on"}}, extra={"most": 0}
    )
    made = solved(recipe, attempts(chain_of_thought=says), seed(), tmp_path, children)
    assert made.accepted == 1
    assert verdicts(made) == {
        None: 2,
        "repetition": 1,
        "guesswork": 2,
        "thinking_summary_disagree": 1,
        "language_mixing": 1,
        "no_box": 1,
        "no_answer": 1,
        "wrong_answer": 1,
    }
    assert made.drafts[0].meta["votes"] == "8/10"


def test_right_attempts_that_may_not_be_shown_make_no_document(
    tmp_path: Path, children: Children
) -> None:
    rule = attempts(chain_of_thought=[EchoAnswer(r"\boxed{12}")])
    made = solved(solving(), rule, seed(), tmp_path, children)
    assert [(one.reason, one.message) for one in made.rejects] == [
        ("all_filtered", "of 4 attempts 4 guesswork")
    ]


def test_programs_are_run(tmp_path: Path, children: Children) -> None:
    def program(code: str) -> str:
        return f"{STEPS}\n```python\n{code}\n```"

    says = [
        program("print('the sum')\nprint(5 + 7)"),
        program("print(6 * 2)"),
        program("from fractions import Fraction\nprint(Fraction(24, 2))"),
        program("print(1 // 0)"),
        program("x = 12"),
        program("print(12"),
        program("import sys; sys.exit(12)"),
        f"{STEPS} 12",
    ]
    recipe = solving(
        solutions={"program_aided": {"samples": 8}},
        majority={"share": 0.3, "hard_share": 0.3},
        extra={"most": 0},
    )
    made = solved(recipe, attempts(program_aided=says), seed(), tmp_path, children)
    assert verdicts(made) == {
        None: 3,
        "program_failed": 2,
        "no_output": 1,
        "syntax_error": 1,
        "no_program": 1,
    }
    assert "```output\n" in made.drafts[0].text
    failed = next(row for row in made.samples if "1 // 0" in row["response"])
    assert "ZeroDivisionError" in failed["message"]


def test_tools_are_used_in_turns(tmp_path: Path, children: Children) -> None:
    def rule(asked: EchoRequest) -> EchoAnswer:
        turns = [text for role, text in asked.turns if role == "user"][1:]
        if not turns:
            return EchoAnswer(f"{STEPS}\n```python\nprint(5 + 7)\n```\nIt prints 99.")
        printed = turns[-1].split("```output\n")[1].split("\n```")[0]
        if printed == "12":
            return EchoAnswer("And once more.\n```python\nprint(12 / 0)\n```")
        assert printed == "ZeroDivisionError: division by zero"
        return EchoAnswer("That was a mistake; still \\boxed{12}.")

    recipe = solving(solutions={"tool_integrated": {"samples": 3}}, extra={"most": 0})
    made = solved(recipe, rule, seed(), tmp_path, children)
    assert verdicts(made) == {None: 3}
    turns = made.samples[0]["messages"]
    assert [turn["role"] for turn in turns] == [
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert "It prints 99." not in turns[0]["content"]
    assert made.samples[0]["completion_tokens"] > len(turns)
    assert made.drafts[0].text.count("```output\n") == 2


def test_tools_without_end(tmp_path: Path, children: Children) -> None:
    def rule(asked: EchoRequest) -> EchoAnswer:
        return EchoAnswer("```python\nprint(1)\n```")

    recipe = solving(solutions={"tool_integrated": {"samples": 3, "turns": 2}}, extra={"most": 0})
    made = solved(recipe, rule, seed(), tmp_path, children)
    assert verdicts(made) == {"too_many_turns": 3}
    assert [one.reason for one in made.rejects] == ["no_answer"]


def test_prose_and_programs_have_to_agree(tmp_path: Path, children: Children) -> None:
    rule = attempts(chain_of_thought=[good("12")], program_aided=["```python\nprint(13)\n```"])
    recipe = solving(
        solutions={"chain_of_thought": {"samples": 8}, "program_aided": {"samples": 3}},
        extra={"most": 0},
    )
    made = solved(recipe, rule, seed(), tmp_path, children)
    assert [one.reason for one in made.rejects] == ["styles_disagree"]
    assert verdicts(made) == {"undecided": 11}


@pytest.mark.parametrize("poison", ["9^{9^{9^{9}}}", r"\binom{10^9}{5\cdot10^8}+1"])
def test_an_answer_that_hangs_algebra_costs_itself_alone(
    poison: str, tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "ALL_S", 0.7)
    monkeypatch.setattr(comparing, "ONE_S", 0.7)
    rule = attempts(chain_of_thought=[good("12"), good("12.0"), good("12"), good(poison)])
    made = solved(solving(), rule, seed(), tmp_path, children)
    assert made.accepted == 1
    assert verdicts(made) == {None: 3, "unreadable_answer": 1}


def test_an_answer_that_hangs_algebra_is_never_accepted(
    tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "ONE_S", 0.7)
    rule = attempts(chain_of_thought=[good("9^{9^{9^{9}}}")])
    made = solved(solving(), rule, seed(), tmp_path, children)
    assert [one.reason for one in made.rejects] == ["unreadable_answer"]
    assert verdicts(made) == {"unreadable_answer": 4}


def test_easy_problems_are_left_out_where_asked(tmp_path: Path, children: Children) -> None:
    rule = attempts(chain_of_thought=[good("12")], direct=[r"\boxed{12}"])
    recipe = solving(easy={"attempts": 2})
    made = solved(recipe, rule, seed(), tmp_path, children)
    assert [one.reason for one in made.rejects] == ["easy"]
    rule = attempts(chain_of_thought=[good("12")], direct=[r"\boxed{12}", r"\boxed{7}"])
    assert solved(recipe, rule, seed(), tmp_path / "2", children).accepted == 1


def problems(*texts: str) -> str:
    return "\n".join(f"<problem>{text}</problem>" for text in texts)


def test_problems_that_cannot_be_checked_are_not_solved(tmp_path: Path, children: Children) -> None:
    passage = "The area of a rectangle is the product of its two sides, as every child learns."
    written = problems(
        "A garden is 5 metres long and 7 metres wide. How many metres of fence does it need?",
        "A garden is 5 metres long and 7 metres wide. How many  metres of fence does it need?",
        "Prove that the square root of 2 is irrational.",
        "证明：根号二是无理数，并说明理由是什么样的呢",
        "A box holds 5 pens.\n(a) How many pens do 3 boxes hold?\n(b) How many do 4 hold?",
        "How old is Anna? How old is Ben, her brother, who was born two years later?",
        "What is 2+2?",
        passage + " What is it?",
        "Which box holds most? A) 5 pens B) 7 pens C) 9 pens D) 11 pens",
        "Is the moon a cube of cheese, or does it only look like one in winter?",
    )
    rule = attempts(
        problems=[written],
        chain_of_thought=[good("24")],
        check=["VALID", "VALID", "UNVERIFIABLE", "VALID"],
    )

    def by_text(asked: EchoRequest) -> EchoAnswer | None:
        if ROLES[asked.system.strip()] == "check":
            return EchoAnswer("UNVERIFIABLE" if "moon" in asked.user else "It is VALID.")
        return rule(asked)

    recipe = MathMaker.model_validate(
        {
            "maker": "mathematics",
            "name": "mine",
            "problems": {"per_seed": 10},
            "check": {},
            "solutions": {"chain_of_thought": {"samples": 3}},
        }
    )
    made = solved(recipe, by_text, seed(passage), tmp_path, children)
    assert made.units == 10
    assert Counter(one.reason for one in made.rejects) == {
        "repeated_problem": 1,
        "unverifiable": 3,
        "multi_part": 2,
        "too_short": 1,
        "too_near_to_seed": 1,
    }
    assert len(made.drafts) == 2


def test_concepts_come_first(tmp_path: Path, children: Children) -> None:
    seen: list[str] = []

    def rule(asked: EchoRequest) -> EchoAnswer:
        role = ROLES[asked.system.strip()]
        if role == "concepts":
            assert "in French" in asked.user
            return EchoAnswer("- aire\n- périmètre\n* aire\n3. fractions\nrien d'autre")
        if role == "combine":
            seen.append(asked.user)
            return EchoAnswer(problems(f"Quel est le résultat numéro {asked.draw(10**6)} ?"))
        return good("24")

    recipe = MathMaker.model_validate(
        {
            "maker": "mathematics",
            "name": "mine",
            "problems": {"made_from": "concepts", "per_seed": 5},
            "solutions": {"chain_of_thought": {"samples": 3}},
        }
    )
    of = seed("L'aire et le périmètre d'un rectangle.", language="fra_Latn")
    made = solved(recipe, rule, of, tmp_path, children)
    pairs = {tuple(sorted(text.split("\n- ")[1:])) for text in seen}
    assert pairs == {("aire", "périmètre"), ("aire", "fractions"), ("fractions", "périmètre")}
    assert made.units == 3


def test_a_passage_without_concepts(tmp_path: Path, children: Children) -> None:
    recipe = MathMaker.model_validate(
        {
            "maker": "mathematics",
            "name": "mine",
            "problems": {"made_from": "concepts"},
            "solutions": {"chain_of_thought": {"samples": 3}},
        }
    )
    made = solved(recipe, attempts(concepts=["NONE"]), seed(), tmp_path, children)
    assert [one.reason for one in made.rejects] == ["no_concepts"]


PASSAGES = {
    "eng_Latn": "The area of a rectangle is the product of its two sides.",
    "zho_Hans": "长方形的面积等于长乘以宽，这是小学数学里学到的知识。",
    "arb_Arab": "مساحة المستطيل هي حاصل ضرب ضلعيه المتجاورين كما يتعلم كل طفل",
    "hin_Deva": "आयत का क्षेत्रफल उसकी दो भुजाओं का गुणनफल होता है।",
}


@pytest.mark.parametrize("name", ["math_problems", "math_from_concepts", "math_solve"])
def test_shipped_recipes_end_to_end_twice(name: str, tmp_path: Path, children: Children) -> None:
    few: dict[str, Mapping[str, Any]] = {
        "math_problems": {
            "chain_of_thought": {"samples": 4},
            "program_aided": {"samples": 1},
        },
        "math_from_concepts": {
            "chain_of_thought": {"samples": 3},
            "tool_integrated": {"samples": 1},
        },
        "math_solve": {
            "chain_of_thought": {"samples": 3},
            "program_aided": {"samples": 1},
            "tool_integrated": {"samples": 1},
        },
    }
    recipe = load_recipe(name, {"solutions": few[name], "extra": {"samples": 2, "most": 7}})
    assert isinstance(recipe, MathMaker)
    seeds = [
        seed(text, language=language, id=bytes([number]) * 16)
        for number, (language, text) in enumerate(PASSAGES.items())
    ]
    if name == "math_solve":
        text = "The number x satisfies 6x + 4 = 40. What is x?"
        seeds = [seed(text, meta={"answer": "6"}), seed(text.replace("40", "41"))]
    workspace = Workspace.create(str(tmp_path / "w"))
    with served([echo_rule]) as url:
        made, usage = cook(recipe, seeds, url, workspace, children)
        again, free = cook(recipe, seeds, url, workspace, children)
    assert made == again
    assert usage["paid_completion_tokens"] > 0
    assert free["paid_completion_tokens"] == 0
    drafts = [draft for one in made for draft in one.drafts]
    assert drafts
    for draft in drafts:
        assert r"\boxed{" in draft.text
        assert draft.prompt_hash is not None
        assert len(draft.prompt_hash) == 16


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("nothing", "empty"),
        ("garbage", "no_problem"),
        ("half_json", "no_problem"),
        ("refusal", "no_problem"),
        ("context_overflow", "context_overflow"),
    ],
)
def test_a_model_that_makes_no_sense(
    fault: str, reason: str, tmp_path: Path, children: Children
) -> None:
    recipe = load_recipe("math_problems", {})
    assert isinstance(recipe, MathMaker)
    with served([echo_rule], Faults(rates={fault: 1.0})) as url:
        workspace = Workspace.create(str(tmp_path / "w"))
        (made,), _ = cook(recipe, [seed(PASSAGES["eng_Latn"])], url, workspace, children)
    assert [one.reason for one in made.rejects] == [reason]
    assert not made.drafts


def test_recipes_say_what_is_wrong() -> None:
    with pytest.raises(RecipeError, match=r"chain_of_thought.*sample.*allowed"):
        load_recipe("math_problems", {"solutions": {"chain_of_thought": {"sample": 3}}})
    with pytest.raises(RecipeError, match=r"majority\.count 99 is more than"):
        load_recipe("math_problems", {"majority": {"count": 99}})
    with pytest.raises(RecipeError, match="layout needs both places"):
        load_recipe("math_problems", {"document": {"layout": "{problem}"}})
    with pytest.raises(RecipeError, match=r"the place \{text\} is unknown"):
        load_recipe("math_problems", {"prompts": {"check": {"system": "Check.", "user": "{text}"}}})


def test_thinking_needs_a_model_with_the_switch() -> None:
    recipe = load_recipe("math_problems", {})
    assert isinstance(recipe, MathMaker)
    plain = ModelConfig(engine="endpoint", model="echo", url="echo:")
    with pytest.raises(ValueError, match="thinking"):
        recipe.check_model(plain)
    off = load_recipe("math_problems", {"solutions": {"chain_of_thought": {"thinking": "off"}}})
    assert isinstance(off, MathMaker)
    off.check_model(plain)


def test_identity_holds_what_decides() -> None:
    plain = load_recipe("math_problems", {})
    told = load_recipe("math_problems", {"about": "other words", "where": "true"})
    other = load_recipe("math_problems", {"majority": {"share": 0.7}})
    prompt = {"system": "Check it.", "user": "{problem}"}
    asked = load_recipe("math_problems", {"prompts": {"check": prompt}})
    assert plain.identity == told.identity
    assert plain.identity != other.identity
    assert plain.identity != asked.identity
