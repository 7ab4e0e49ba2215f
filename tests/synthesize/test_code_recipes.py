"""Recipes of programs over a real desk and a server that answers as it is told."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.models.desk import Desk, open_desk
from pipelines.models.echo import EchoServer
from pipelines.models.echo_rules import EchoAnswer, EchoRequest, Rule
from pipelines.models.handler import Handler
from pipelines.models.sandbox import CodeRun, open_sandbox
from pipelines.models.server import upstream
from pipelines.models.settings import ModelConfig
from pipelines.synthesize.programs import echo
from pipelines.synthesize.programs.maker import ProgramMaker
from pipelines.synthesize.recipe import Made, Seed
from pipelines.synthesize.recipes import RecipeError, load_recipe
from pipelines.synthesize.samples import samples_batch
from pipelines.workspace.children import Children, Limits
from pipelines.workspace.jobs import PartKey
from pipelines.workspace.workspace import Workspace

PASSAGE = (
    "Der Zähler im Keller zeigt Werte von 0 bis 9999. Wer ihn abliest, schreibt nur die Werte auf, "
    "die über einer Schwelle liegen, und zählt sie am Ende des Tages zusammen."
)
SEED = Seed(id=b"0123456789abcdef", text=PASSAGE, language="deu_Latn")

STATEMENT = "## Problem\nWrite `over(values, least)`: how many values exceed least."
SOLUTION = "def over(values, least):\n    return sum(value > least for value in values)\n"
BRANCHY = """def over(values, least):
    if not values:
        return 0
    return len([value for value in values if value > least])
"""
TESTS = """from solution import over


def test_counts():
    assert over([1, 2, 3], 1) == 2
    assert over([5, 5], 4) == 2


def test_nothing():
    assert over([], 1) == 0
    assert over([1], 1) == 0
"""


def python(source: str) -> str:
    return f"```python\n{source.rstrip()}\n```"


def solved(solution: str, tests: str = TESTS) -> str:
    return f"Here.\n\n## Solution\n{python(solution)}\n\n## Tests\n{python(tests)}"


@contextmanager
def serving(rule: Rule) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = EchoServer(rules=[rule]).serving()
    try:
        yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def desk_of(folder: Path, rule: Rule) -> Iterator[Desk]:
    with serving(rule) as url:
        model = ModelConfig(
            engine="endpoint", model="told", url=url, thinking="template", in_flight=8
        )
        handler = Handler(model, upstream(model))
        workspace = Workspace.create(str(folder / "workspace"))
        children = Children(Limits(processes=1))
        try:
            with open_desk(model, workspace, PartKey("s", 0), children, handler=handler) as desk:
                yield desk
        finally:
            handler.close()


def told(script: Mapping[str, list[str]]) -> Rule:
    """A rule that gives one answer after the other; the first words of a system message choose."""
    left = {name: list(texts) for name, texts in script.items()}

    def rule(asked: EchoRequest) -> EchoAnswer | None:
        name = next(name for name in left if asked.system.startswith(name))
        texts = left[name]
        return EchoAnswer(texts.pop(0) if len(texts) > 1 else texts[0], "I think.")

    return rule


def cook(desk: Desk, recipe: Any, *seeds: Seed) -> list[Made]:  # noqa: ANN401 - any maker
    return list(desk.map_ordered(seeds, lambda seed: recipe.make((seed,), desk)))


def code_tests(**options: object) -> ProgramMaker:
    recipe = load_recipe("code_tests", {"at_once": 1, "limits": {"seconds": 60}, **options})
    assert isinstance(recipe, ProgramMaker)
    return recipe


POSES, SOLVES = "You pose programming", "You solve programming"


def test_a_problem_is_attempted_until_its_tests_hold(tmp_path: Path) -> None:
    wrong = SOLUTION.replace(">", ">=")
    rule = told({POSES: [STATEMENT], SOLVES: [solved(wrong), solved(SOLUTION)]})
    with desk_of(tmp_path, rule) as desk:
        (made,) = cook(desk, code_tests(attempts=4), SEED)
        (again,) = cook(desk, code_tests(attempts=4), SEED)
    assert again.drafts == made.drafts  # of the journal
    assert (made.units, made.accepted, made.rejects) == (1, 1, ())
    (draft,) = made.drafts
    assert draft.text == (
        "Write `over(values, least)`: how many values exceed least.\n\n"
        f"{python(SOLUTION)}\n\n{python(TESTS)}\n"
    )
    assert (draft.attempt, draft.language, draft.parents) == (1, "deu_Latn", (SEED.id,))
    assert dict(draft.meta) | {"problem": "", "novelty": ""} == {
        "problem": "",
        "novelty": "",
        "attempts": "2",
        "pass_rate": "0.500",
        "tests": "2",
        "coverage": "1.000",
    }
    assert dict(made.figures) | {"novelty_sum": 1} == {
        "attempts": 2,
        "attempts_accepted": 1,
        "novelty_sum": 1,
    }
    rows = samples_batch(made.samples).to_pylist()
    assert [(row["verdict"], row["reason"], row["pass_rate"]) for row in rows] == [
        ("rejected", "tests_fail", 0.5),
        ("accepted", None, 0.5),
    ]
    assert {row["problem"].hex() for row in rows} == {draft.meta["problem"]}
    assert {(row["verifier"], row["tests"], row["reference"]) for row in rows} == {
        ("python_tests", TESTS, SOLUTION)
    }
    assert [row["reasoning"] for row in rows] == ["I think."] * 2


def test_coverage_may_not_fall_between_attempts(tmp_path: Path) -> None:
    fails = solved(BRANCHY.replace(">", ">="))
    thinned = TESTS.replace("over([], 1) == 0", "over([2], 2) == 0")
    rule = told({POSES: [STATEMENT], SOLVES: [fails, solved(BRANCHY, thinned)]})
    recipe = code_tests(attempts=2, tests={"min_coverage": 0.5})
    with desk_of(tmp_path, rule) as desk:
        (made,) = cook(desk, recipe, SEED)
    assert (made.units, made.accepted, len(made.drafts)) == (1, 0, 0)
    assert [row["reason"] for row in made.samples] == ["tests_fail", "coverage_fell"]
    (reject,) = made.rejects
    assert reject.reason == "tests_fail"
    assert reject.message.startswith("2 attempts (tests_fail 1, coverage_fell 1); 2 of 2, first")
    assert {row["verifier"] for row in made.samples} == {"none"}


@pytest.mark.parametrize(
    ("reason", "problem", "solution"),
    [
        ("no_problem", "Hello!", ""),
        ("no_problem", "## Problem\n\n## Solution\nx", ""),
        ("empty", "  ", ""),
        ("no_code_block", STATEMENT, "## Solution\nSum them up.\n## Tests\n```python\nx"),
        ("no_code_block", STATEMENT, f"## Solution\n{python(SOLUTION)}"),
        ("too_few_tests", STATEMENT, solved(SOLUTION, "from solution import over\n")),
        ("too_near_to_seed", f"## Problem\n{PASSAGE}", solved(SOLUTION)),
    ],
)
def test_every_bad_answer_has_a_reason(
    tmp_path: Path, reason: str, problem: str, solution: str
) -> None:
    recipe = code_tests(attempts=1)
    with desk_of(tmp_path, told({POSES: [problem], SOLVES: [solution]})) as desk:
        (made,) = cook(desk, recipe, SEED)
    assert [one.reason for one in made.rejects] == [reason]
    assert (made.units, made.accepted, made.drafts) == (1, 0, ())


def test_seeds_are_cut_at_a_line_and_short_ones_refused(tmp_path: Path) -> None:
    recipe = code_tests(max_seed_characters=12)
    assert recipe.cut("one line\nanother line") == "one line"
    assert recipe.cut("no line end before the limit") == "no line end"
    with desk_of(tmp_path, told({POSES: [STATEMENT]})) as desk:
        (made,) = cook(desk, code_tests(), Seed(id=SEED.id, text="короткий", language=None))
    assert made.rejects[0].reason == "seed_too_short"


CONTEST = "## Difficulty\n{level}\n\n## Problem\nPrint how many numbers exceed the first."
GENERATOR = """import random


def generate_input(scale, seed):
    draw = random.Random(seed)
    return " ".join(str(draw.randint(0, 9)) for _ in range(scale + 1)) + "\\n"


def is_valid(text):
    return text.strip() != ""
"""
RIGHT = (
    "first, *others = map(int, input().split())\nprint(sum(one > first for one in others))\n",
    "n = [int(w) for w in input().split()]\nprint(len([x for x in n[1:] if x > n[0]]))\n",
    "import sys\nn = list(map(int, sys.stdin.read().split()))\nm = n[0]\nk = 0\n"
    "for x in n:\n    k += x > m\nprint(k)\n",
)
WRONG = "n = list(map(int, input().split()))\nprint(sum(x >= n[0] for x in n))\n"


def voting(programs: list[str], level: str = "easy") -> Rule:
    answers = [f"## Solution\n{python(one)}" if one else "I cannot." for one in programs]
    return told(
        {
            "You pose problems": [CONTEST.format(level=level)],
            "You write inputs": ["no idea", f"## Generator\n{python(GENERATOR)}"],
            "You solve problems": answers,
        }
    )


def code_agreement(votes: int) -> ProgramMaker:
    rules = {"scales": [1, 2, 3, 10], "per_scale": 3, "least": 8}
    options = {"attempts": votes, "generated": rules, "limits": {"seconds": 60}}
    recipe = load_recipe("code_agreement", options)
    assert isinstance(recipe, ProgramMaker)
    return recipe


def test_most_programs_decide(tmp_path: Path) -> None:
    with desk_of(tmp_path, voting([*RIGHT, WRONG, ""])) as desk:
        (made,) = cook(desk, code_agreement(5), SEED)
    assert (made.units, made.accepted, made.rejects) == (1, 1, ())
    (draft,) = made.drafts
    shortest = min(RIGHT, key=len)
    assert python(shortest) in draft.text
    assert (draft.meta["pass_rate"], draft.meta["attempts"]) == ("0.600", "5")
    assert int(draft.meta["inputs"]) >= 8
    rows = samples_batch(made.samples).to_pylist()
    assert Counter(row["reason"] for row in rows) == {None: 3, "disagrees": 1, "no_code_block": 1}
    assert {row["reference"] for row in rows} == {shortest}
    # What the samples give as tests runs, and tells right from wrong.
    for program, outcome in ((RIGHT[2], "ok"), (WRONG, "failed")):
        files = {
            "solution.py": program,
            "tests.py": rows[0]["tests"],
            "main.py": "import tests\ntests.test_cases()\n",
        }
        assert open_sandbox().run(CodeRun(files=files)).outcome == outcome


@pytest.mark.parametrize(
    ("programs", "level", "reason"),
    [
        ([*RIGHT[:2], WRONG, "print(1)", "print(input())"], "easy", "no_agreement"),
        ([*RIGHT[:2], WRONG, "print(1)", "print(input())"], "Hard.", None),
        (["print(7)"] * 4 + [WRONG], "easy", "constant_output"),
        (["print(hash(input()))"] * 5, "medium", "nondeterministic"),
        (["print(1 // 0)"] * 5, "medium", "program_fails"),
    ],
)
def test_votes_that_do_not_decide(
    tmp_path: Path, programs: list[str], level: str, reason: str | None
) -> None:
    with desk_of(tmp_path, voting(programs, level)) as desk:
        (made,) = cook(desk, code_agreement(5), SEED)
    assert [one.reason for one in made.rejects] == ([] if reason is None else [reason])
    assert made.accepted == len(made.drafts) == int(reason is None)
    assert len(made.samples) == 5


def test_generators_that_fail_are_asked_for_again_and_then_refused(tmp_path: Path) -> None:
    rule = told(
        {
            "You pose problems": [CONTEST.format(level="easy")],
            "You write inputs": [f"## Generator\n{python(GENERATOR.replace('!= ', '== '))}"],
            "You solve problems": [""],
        }
    )
    with desk_of(tmp_path, rule) as desk:
        (made,) = cook(desk, code_agreement(2), SEED)
    assert made.rejects[0].reason == "too_few_inputs"
    assert made.rejects[0].message.startswith("0 valid inputs")


@pytest.mark.parametrize("name", ["code_problems", "code_tests", "code_agreement"])
def test_the_echo_rehearses_all_recipes(tmp_path: Path, name: str) -> None:
    quick: dict[str, Any] = {"limits": {"seconds": 20, "input_seconds": 3}, "attempts": 5}
    if name == "code_agreement":
        quick["generated"] = {"scales": [1, 5, 50], "per_scale": 3, "least": 5}
        quick["agreement"] = 0.4
    with desk_of(tmp_path, echo.answer) as desk:
        (made,) = cook(desk, load_recipe(name, quick), SEED)
    assert (made.units, made.accepted, made.rejects) == (1, 1, ())
    assert made.drafts[0].text.count("```") >= 4


def test_the_echo_answers_well_and_badly() -> None:
    solving = load_recipe("code_tests")
    assert isinstance(solving, ProgramMaker)
    answers = [
        echo.answer(
            EchoRequest(
                system=solving.solution.system_message,
                user="Write a function `every_nth_3` that ...",
                turns=(),
                key=f"{n:032x}",
            )
        )
        for n in range(200)
    ]
    texts = Counter(answer.text for answer in answers if answer is not None)
    assert texts.total() == 200
    assert len(texts) == 6  # right, wrong, trivial tests, endless, network, no code
    assert texts.most_common(1)[0][1] > 100
    assert echo.answer(EchoRequest(system="", user=PASSAGE, turns=(), key="00")) is None


def test_recipes_say_what_is_wrong_with_them() -> None:
    with pytest.raises(RecipeError, match="needs `problem` and `inputs`"):
        load_recipe("code_problems", {"check": "agreement"})
    with pytest.raises(RecipeError, match=r"\{example\}"):
        load_recipe("code_agreement", {"document": "{problem} {example}"})
    with pytest.raises(RecipeError, match="at most 4, and 50 are wanted"):
        load_recipe("code_agreement", {"generated": {"scales": [1, 2], "per_scale": 2}})
    with pytest.raises(RecipeError, match="text with the place"):
        load_recipe("code_tests", {"solution": {"user": "Write something."}})
    assert load_recipe("code_tests").identity != load_recipe("code_tests", {"attempts": 9}).identity
