"""What the echo server answers to the recipes of programs: small real programs, good and bad.

The rules know a request by the system message of its shipped recipe. A problem takes a number and
a word from its passage, and names its function after them, so that the answer to the next request,
which shows the problem alone, can find them again. Of twenty answers about twelve are right; the
others are wrong, endless, without a test that could fail, without a block of code, or try the
network, so that every way out of the recipes is walked in a rehearsal.
"""

import re
from functools import cache
from typing import Final

from pipelines.models.echo_rules import EchoAnswer, EchoRequest
from pipelines.synthesize.programs.maker import ProgramMaker

_WORD: Final = re.compile(r"[^\W\d_]{3,12}")
_NUMBER: Final = re.compile(r"\d{1,4}")
_NAME: Final = re.compile(r"`(longer_than|capped_sum|every_nth)_(\d+)`")
_DIVISOR: Final = re.compile(r"divisible by (\d+)")
_DRAWS: Final = 20
_LEAST: Final = 2
_MOST: Final = 12
_PASSAGE: Final = "The passage:"

_STATEMENTS: Final = {
    "longer_than": "Write a function `longer_than_{k}` that takes a list of words, such as "
    '["{word}", "a"], and returns those with more than {k} letters, in their order and each once. '
    "For an empty list it returns an empty list.",
    "capped_sum": "A counter of {word} shows no more than a limit. Write a function "
    "`capped_sum_{k}` that takes a list of whole numbers and returns their sum, where every number "
    "above {k} counts as {k} and every number below zero counts as nothing.",
    "every_nth": "Readers of {word} look at some lines only. Write a function `every_nth_{k}` that "
    "takes a list and returns every element whose place, counted from one, is a multiple of {k}. "
    'It raises ValueError("empty") when there is no element at all.',
}
_SOLUTIONS: Final = {
    "longer_than": """def longer_than_{k}(words):
    found = []
    for word in words:
        if len(word) > {k} and word not in found:
            found.append(word)
    return found
""",
    "capped_sum": """def capped_sum_{k}(numbers):
    total = 0
    for number in numbers:
        if number > {k}:
            total += {k}
        elif number > 0:
            total += number
    return total
""",
    "every_nth": """def every_nth_{k}(values):
    if not values:
        raise ValueError("empty")
    return [value for place, value in enumerate(values, 1) if place % {k} == 0]
""",
}
_TESTS: Final = {
    "longer_than": """from solution import longer_than_{k}


def test_short_words_are_left_out():
    assert longer_than_{k}(["x" * {k}, "y" * ({k} + 1)]) == ["y" * ({k} + 1)]


def test_words_come_once_in_order():
    a, b = "a" * ({k} + 2), "b" * ({k} + 1)
    assert longer_than_{k}([b, a, b]) == [b, a]
    assert longer_than_{k}([a, a]) == [a]


def test_nothing():
    assert longer_than_{k}([]) == []
""",
    "capped_sum": """from solution import capped_sum_{k}


def test_small_numbers_are_added():
    assert capped_sum_{k}([1, 1]) == 2


def test_large_numbers_count_as_the_limit():
    assert capped_sum_{k}([{k} + 5, 1]) == {k} + 1


def test_negative_numbers_and_nothing():
    assert capped_sum_{k}([-3, 2]) == 2
    assert capped_sum_{k}([]) == 0
""",
    "every_nth": """from solution import every_nth_{k}


def test_places_are_multiples():
    assert every_nth_{k}(list(range(1, 2 * {k} + 2))) == [{k}, 2 * {k}]
    assert every_nth_{k}([0] * ({k} - 1)) == []
    assert every_nth_{k}(["a"] * {k}) == ["a"]


def test_nothing_is_an_error():
    try:
        every_nth_{k}([])
    except ValueError as error:
        assert str(error) == "empty"
    else:
        raise AssertionError("no error")
""",
}
_TRIVIAL: Final = """from solution import {name}_{k}


def test_it_is_there():
    assert callable({name}_{k})
    assert {name}_{k}.__name__ != ""
    assert str({name}_{k}) != "no"
    assert {name}_{k} == {name}_{k}
"""
_NETWORK: Final = """import urllib.request


def {name}_{k}(values):
    with urllib.request.urlopen("http://203.0.113.1/solve", timeout=1) as answer:
        return answer.read()
"""
_ENDLESS: Final = """import time


def {name}_{k}(values):
    while True:
        time.sleep(1)
"""

_CONTEST: Final = """A list of {word} is kept as numbers. Add up those that are divisible by {k}.

The first line of the input holds the count n, from 1 to 1000; the second line holds n whole numbers
from -1000 to 1000, separated by blanks. Print the sum of the numbers that are divisible by {k}, and
on a second line how many they are."""
_GENERATOR: Final = """import random


def generate_input(scale, seed):
    draw = random.Random(seed)
    count = max(1, min(scale, 1000))
    if seed % 3 == 0:
        numbers = [draw.randint(-9, 9) * {k} for _ in range(count)]
    else:
        numbers = [draw.randint(-1000, 1000) for _ in range(count)]
    numbers = [max(-1000, min(1000, number)) for number in numbers]
    return f"{{count}}\\n{{' '.join(map(str, numbers))}}\\n"


def is_valid(text):
    first, second = text.split("\\n")[:2]
    numbers = [int(word) for word in second.split()]
    return 1 <= int(first) <= 1000 and len(numbers) == int(first)
"""
_PROGRAMS: Final = (
    """import sys

numbers = list(map(int, sys.stdin.read().split()))[1:]
found = [number for number in numbers if number % {k} == 0]
print(sum(found))
print(len(found))
""",
    """count = int(input())
total = found = 0
for word in input().split():
    number = int(word)
    if number % {k} == 0:
        total += number
        found += 1
print(total, found, sep="\\n")
""",
    """def main():
    input()
    chosen = list(filter(lambda number: not number % {k}, map(int, input().split())))
    print(f"{{sum(chosen)}}\\n{{len(chosen)}}")


main()
""",
)
_WRONG_PROGRAMS: Final = (
    "input()\nnumbers = [int(w) for w in input().split() if int(w) > 0 and int(w) % {k} == 0]\n"
    "print(sum(numbers))\nprint(len(numbers))\n",
    "numbers = list(map(int, input().split()))\nprint(sum(numbers) // {k}, len(numbers))\n",
    "import socket\nsocket.create_connection(('203.0.113.1', 80), 1)\nprint(0)\n",
    "import time\nwhile True:\n    time.sleep(1)\n",
)


def answer(asked: EchoRequest) -> EchoAnswer | None:
    """Answers the requests of the shipped recipes of programs; leaves all others."""
    role = _roles().get(asked.system)
    if role is None:
        return None
    recipe, part = role
    if part == "problem":
        text = _contest(asked) if recipe == "code_agreement" else f"## Problem\n{_problem(asked)}"
    elif part == "inputs":
        text = f"## Generator\n{_block(_GENERATOR, _divisor(asked))}"
    elif recipe == "code_agreement":
        text = _program(asked)
    elif recipe == "code_problems":
        name, k, word = _parameters(asked)
        statement = _STATEMENTS[name].format(k=k, word=word)
        text = f"## Problem\n{statement}\n\n{_solution_and_tests(asked, name, k)}"
    else:
        found = _NAME.search(asked.user)
        if found is None:
            return EchoAnswer("I do not see a problem.")
        text = _solution_and_tests(asked, found[1], int(found[2]))
    return EchoAnswer(text, "I look for the edge cases first." if asked.thinks else None)


@cache
def _roles() -> dict[str, tuple[str, str]]:
    """System message -> name of a recipe, and which of its questions it belongs to."""
    from pipelines.synthesize.recipes import load_recipe

    roles: dict[str, tuple[str, str]] = {}
    for name in ("code_problems", "code_tests", "code_agreement"):
        recipe = load_recipe(name)
        assert isinstance(recipe, ProgramMaker)
        for part in ("problem", "inputs", "solution"):
            ask = getattr(recipe, part)
            if ask is not None:
                roles[ask.system_message] = (name, part)
    return roles


def _parameters(asked: EchoRequest) -> tuple[str, int, str]:
    """Kind of problem, number and word, from the passage."""
    passage = asked.user.partition(_PASSAGE)[2] or asked.user
    names = tuple(_STATEMENTS)
    words, numbers = _WORD.findall(passage), _NUMBER.findall(passage)
    k = _LEAST + int(numbers[0] if numbers else len(passage)) % (_MOST - _LEAST)
    word = max(words, key=len) if words else "words"
    return names[len(passage) % len(names)], k, word


def _problem(asked: EchoRequest) -> str:
    name, k, word = _parameters(asked)
    return _STATEMENTS[name].format(k=k, word=word)


def _contest(asked: EchoRequest) -> str:
    _, k, word = _parameters(asked)
    level = ("easy", "medium", "hard")[asked.draw(3)]
    return f"## Difficulty\n{level}\n\n## Problem\n{_CONTEST.format(k=k, word=word)}"


def _solution_and_tests(asked: EchoRequest, name: str, k: int) -> str:
    draw = asked.draw(_DRAWS)
    solution, tests = _SOLUTIONS[name], _TESTS[name]
    if draw in (0, 1, 2):
        solution = solution.replace("> {k}", "> {k} - 2").replace("enumerate(values, 1)", "[]")
    elif draw in (3, 4):
        tests = _TRIVIAL
    elif draw == 5:
        solution = _ENDLESS
    elif draw == 6:
        solution = _NETWORK
    elif draw == 7:
        return f"## Solution\n{solution.format(k=k, name=name)}\n## Tests\nThey are obvious."
    return f"## Solution\n{_block(solution, k, name)}\n\n## Tests\n{_block(tests, k, name)}"


def _divisor(asked: EchoRequest) -> int:
    found = _DIVISOR.search(asked.user)
    return int(found[1]) if found else _LEAST


def _program(asked: EchoRequest) -> str:
    draw = asked.draw(_DRAWS)
    good = draw < 14
    programs = _PROGRAMS if good else _WRONG_PROGRAMS
    # One of the last six draws in two is the plainly wrong program, so that loops stay few.
    which = draw % len(programs) if good else max(0, draw - 16)
    return f"## Solution\n{_block(programs[which], _divisor(asked))}"


def _block(template: str, k: int, name: str = "") -> str:
    return f"```python\n{template.format(k=k, name=name)}```"
