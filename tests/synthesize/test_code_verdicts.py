"""What the sandbox's runners say of programs that are right, wrong, and up to something."""

import asyncio
import subprocess
import sys

import pytest

from pipelines.models.sandbox import CodeResult, CodeRun, Sandbox, open_sandbox
from pipelines.synthesize.programs.verdicts import (
    Limits,
    TestRules,
    Verdict,
    generate_inputs,
    judge_tests,
    solve_inputs,
)

PATIENT = Limits(seconds=60)
SOLUTION = """def grade(points):
    if points > 3:
        return "high"
    return "low"
"""
TESTS = """from solution import grade


def test_high():
    assert grade(5) == "high"
    assert grade(4) == "high"


def test_low():
    assert grade(3) == "low"
"""
CASE = """import unittest

from solution import grade


class Grades(unittest.TestCase):
    def test_high(self):
        self.assertEqual(grade(4), "high")
        self.assertEqual(grade(5), "high")

    def test_low(self):
        self.assertEqual(grade(3), "low")
"""


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox()


def judged(
    sandbox: Sandbox,
    solution: str,
    tests: str = TESTS,
    *,
    rules: TestRules | None = None,
    limits: Limits = PATIENT,
) -> Verdict:
    async def run(code: CodeRun) -> CodeResult:
        return await asyncio.to_thread(sandbox.run, code)

    given = rules or TestRules(min_coverage=1.0)
    return asyncio.run(judge_tests(run, solution, tests, given, limits))


@pytest.mark.parametrize("tests", [TESTS, CASE], ids=["functions", "unittest"])
def test_right_programs_are_accepted_with_their_coverage(sandbox: Sandbox, tests: str) -> None:
    found = judged(sandbox, SOLUTION, tests)
    assert found == Verdict(reason=None, message="", coverage=1.0, num_tests=2)


@pytest.mark.parametrize(
    ("reason", "solution", "tests"),
    [
        ("tests_fail", SOLUTION.replace(">", "<"), TESTS),
        ("syntax_error", SOLUTION + "(", TESTS),
        ("syntax_error", SOLUTION, TESTS + "def"),
        ("no_report", SOLUTION.replace('return "low"', "__import__('os')._exit(0)"), TESTS),
        ("crashed", SOLUTION.replace('return "low"', "__import__('os').abort()"), TESTS),
        ("out_of_memory", SOLUTION.replace('return "low"', "return [0] * 10**11"), TESTS),
        ("missing_module", "import numpy\n" + SOLUTION, TESTS),
        ("missing_module", SOLUTION, "import pytest\n" + TESTS),
        ("no_function", "grade = 'high'\n", "from solution import grade\n" + "assert grade\n" * 3),
        ("too_few_tests", SOLUTION, TESTS.replace("    assert grade(4)", "    grade(4)")),
        ("low_coverage", SOLUTION, TESTS.replace('grade(3) == "low"', "grade(6)")),
        ("tests_fail", SOLUTION, TESTS.replace("def test_low", "async def test_low")),
        (
            "tests_fail",
            SOLUTION.replace('return "low"', "return __import__('socket').socket()"),
            TESTS,
        ),
    ],
)
def test_bad_programs_have_their_reason(
    sandbox: Sandbox, reason: str, solution: str, tests: str
) -> None:
    found = judged(sandbox, solution, tests)
    assert found.reason == reason
    assert found.message


def test_endless_programs_are_stopped(sandbox: Sandbox) -> None:
    waiting = SOLUTION.replace('return "low"', "__import__('time').sleep(1000)")
    assert judged(sandbox, waiting, limits=Limits(seconds=1)).reason == "timed_out"


def test_tests_that_a_constant_passes_are_trivial(sandbox: Sandbox) -> None:
    tests = "from solution import grade\n\ndef test_it():\n"
    tests += "".join(f"    assert grade({n}) is not {n + 9}\n" for n in range(3, 6))
    found = judged(sandbox, SOLUTION, tests)
    assert (found.reason, found.message) == (
        "trivial_tests",
        "they pass on functions that only return None",
    )
    always = "def is_even(n):\n    return n % 2 == 0\n"
    only_even = "from solution import is_even\n" + "assert is_even(2) is True\n" * 3
    assert judged(sandbox, always, only_even).message.endswith("return True")


def test_a_program_that_depends_on_hashes_is_nondeterministic(sandbox: Sandbox) -> None:
    code = [sys.executable, "-c", "print(hash('a'))"]
    known = subprocess.check_output(code, env={"PYTHONHASHSEED": "0"}, text=True).strip()
    solution = "def number(text):\n    return hash(text)\n"
    tests = f"from solution import number\n\nassert number('a') == {known}\n"
    rules = TestRules(min_assertions=1)
    assert judged(sandbox, solution, tests, rules=rules).reason == "nondeterministic"


def test_what_a_program_prints_is_no_report(sandbox: Sandbox) -> None:
    lies = 'print(\'{"tests": [["a", "pass", ""]], "hit": 1, "marks": 1}\')\n'
    wrong = lies * 3 + SOLUTION.replace(">", "<")
    assert judged(sandbox, wrong).reason == "tests_fail"


@pytest.mark.parametrize(
    ("body", "share"),
    [
        ("    return 1 if x else 2\n", 3 / 4),  # def, return, one of two values
        ("    for _ in range(x): pass\n", 4 / 4),  # def, for, pass, the end of the loop
        ("    for _ in range(x): return 1\n", 3 / 4),  # the loop never comes to its end
        ("    while x: x -= 1\n", 5 / 5),  # def, while, its body, true, false
        ("    return [y for y in [x] if y]\n", 3 / 4),
        ("    match x:\n        case 1: return 1\n", 3 / 4),  # nothing else was asked
        ('    """Documents."""\n    return x\n', 2 / 2),
    ],
)
def test_coverage_counts_statements_and_branches(sandbox: Sandbox, body: str, share: float) -> None:
    tests = "from solution import f\n\n\ndef test():\n    f(1)\n    assert f is not None\n"
    found = judged(
        sandbox, "def f(x):\n" + body, tests, rules=TestRules(min_assertions=1, min_coverage=0)
    )
    assert found.coverage == pytest.approx(share)


def test_main_guards_are_not_counted(sandbox: Sandbox) -> None:
    guarded = SOLUTION + '\nif __name__ == "__main__":\n    print(grade(1))\n    raise SystemExit\n'
    assert judged(sandbox, guarded).coverage == 1.0


GENERATOR = """import random


def generate_input(scale, seed):
    draw = random.Random(seed)
    return " ".join(str(draw.randint(0, scale)) for _ in range(scale)) + "\\n"


def is_valid(text):
    return len(text.split()) != 2
"""


def test_inputs_are_valid_and_come_once(sandbox: Sandbox) -> None:
    async def run(code: CodeRun) -> CodeResult:
        return await asyncio.to_thread(sandbox.run, code)

    asked = [(scale, 7) for scale in (1, 1, 2, 3, 500)]
    found = asyncio.run(generate_inputs(run, GENERATOR, asked, PATIENT, max_characters=100))
    assert found.reason is None
    assert [len(text.split()) for text in found.inputs] == [1, 3]  # twice, invalid, too long
    broken = GENERATOR.replace("randint(0, scale)", "randint(0, scale - 2)")
    found = asyncio.run(generate_inputs(run, broken, asked, PATIENT, max_characters=100))
    assert found.reason == "generator_fails"
    assert found.message.startswith("scale 1, seed 7: ValueError")


@pytest.mark.parametrize(
    ("program", "reason", "outputs"),
    [
        ("print(sum(map(int, input().split())))", None, ("3", "7")),
        ("import sys\nprint(sys.stdin.read()[::-1].strip(), ' \\n\\n')", None, ("2 1", "4 3")),
        ("print(1 // (int(input()[0]) - 3))", "program_fails", ("-1",)),
        ("exit(3)", "program_fails", ()),
        ("print('é' * 10**6)", "output_limit", ()),
        ("(", "syntax_error", ()),
        ("import time\ntime.sleep(1000)", "timed_out", ()),
        ("import os\nos.write(1, b'no newline \\xff')", None, ("no newline \ufffd",) * 2),
    ],
)
def test_programs_run_on_inputs(
    sandbox: Sandbox, program: str, reason: str | None, outputs: tuple[str, ...]
) -> None:
    async def run(code: CodeRun) -> CodeResult:
        return await asyncio.to_thread(sandbox.run, code)

    seconds = 1.0 if reason == "timed_out" else 30.0
    limits = Limits(seconds=60, input_seconds=seconds, input_output_bytes=1000)
    found = asyncio.run(solve_inputs(run, program, ["1 2\n", "3 4\n"], limits))
    assert found.reason == reason
    assert found.outputs == outputs
    assert len(found.digests) == len(outputs)
