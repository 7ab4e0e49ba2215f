"""Runs the tests of a program, inside the sandbox; the program is `solution.py`, they `tests.py`.

The order comes by standard input as JSON, the report goes out as lines of JSON behind a mark that
the program does not know; whatever the program itself prints goes nowhere. No time enters the
report, and hashes have the seed that the order names.

Tests are functions `test_*` without parameters and classes of `unittest`; a file without either is
one test by its assertions. pytest is not there. All tests run, also behind one that fails, so that
coverage is that of the whole file.
"""

import ast
import inspect
import json
import os
import sys
import types
import unittest
import warnings
from collections.abc import Callable
from typing import Any

import marking  # type: ignore[import-not-found]  # beside this file, in the sandbox

_ORDER = "TOKENMILL_ORDER"
_MESSAGE = 300
Outcome = tuple[str, str, str]
Report = Callable[[dict[str, Any]], None]


def main() -> None:
    """Reads the order, runs and reports."""
    order = json.loads(os.environ.pop(_ORDER, "") or sys.stdin.read())
    if os.environ.get("PYTHONHASHSEED") != str(order["hash_seed"]):
        told = {"PYTHONHASHSEED": str(order["hash_seed"]), _ORDER: json.dumps(order)}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **told})
    report = reporter(order["mark"])
    warnings.simplefilter("ignore")
    sources = {name: open(f"{name}.py", encoding="utf-8").read() for name in ("solution", "tests")}
    if order["hollow"]:
        check_hollow(sources, order["hollow"], report)
    else:
        check(sources, report)
    os._exit(0)  # threads that go on do not keep us


def reporter(mark: str) -> Report:
    """Gives what writes a line of the report; closes standard output to everybody else."""
    out = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)

    def report(line: dict[str, Any]) -> None:
        data = f"\n{mark}{json.dumps(line)}\n".encode()
        while data:
            data = data[os.write(out, data) :]

    return report


def check(sources: dict[str, str], report: Report) -> None:
    """Runs the tests on the program with marks."""
    try:
        tree, lines = marking.marked(sources["solution"])
        program = compile(tree, "solution.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        report({"syntax": ["solution", message_of(error)]})
        return
    try:
        tests_tree = ast.parse(sources["tests"])
        tests = compile(tests_tree, "tests.py", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        report({"syntax": ["tests", message_of(error)]})
        return
    hit, names = marking.names_for(len(lines))
    outcomes = run(program, tests, names)
    missed = sorted({line for line, seen in zip(lines, hit, strict=True) if not seen})
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = sum(isinstance(node, kinds) for node in ast.walk(tree))
    report(
        {
            "tests": outcomes,
            "hit": sum(hit),
            "marks": len(lines),
            "missed": missed[:20],
            "functions": functions,
            "assertions": sum(is_assertion(node) for node in ast.walk(tests_tree)),
        }
    )


def check_hollow(sources: dict[str, str], constants: list[str], report: Report) -> None:
    """Runs the tests on programs whose functions return a constant, one after the other."""
    tests = compile(sources["tests"], "tests.py", "exec")
    for constant in constants:
        tree = marking.hollowed(sources["solution"], constant)
        outcomes = run(compile(tree, "solution.py", "exec"), tests, {})
        passes = bool(outcomes) and all(outcome == "pass" for _, outcome, _ in outcomes)
        report({"hollow": constant, "passes": passes})
        if passes:
            return


def run(program: types.CodeType, tests: types.CodeType, names: dict[str, Any]) -> list[Outcome]:
    """Executes a program and its tests.

    Returns:
        (name, pass | fail | error, message) for each test.
    """
    for name in ("solution", "tests"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__["__file__"] = f"{name}.py"
    solution, suite = sys.modules["solution"], sys.modules["tests"]
    solution.__dict__.update(names)
    try:
        exec(program, solution.__dict__)
    except BaseException as error:
        return [("<solution>", "error", message_of(error))]
    try:
        exec(tests, suite.__dict__)
    except AssertionError as error:
        return [("<tests>", "fail", message_of(error))]
    except BaseException as error:
        return [("<tests>", "error", message_of(error))]
    found = list(suite.__dict__.items())
    outcomes = [
        outcome_of(name, one)
        for name, one in found
        if name.startswith("test") and inspect.isfunction(one)
    ]
    for _, one in found:
        if inspect.isclass(one) and issubclass(one, unittest.TestCase):
            outcomes += outcomes_of_class(one)
    return outcomes or [("<tests>", "pass", "")]


def outcome_of(name: str, test: Callable[[], object]) -> Outcome:
    """Runs one function."""
    try:
        made = test()
        if inspect.isawaitable(made) or inspect.isgenerator(made):
            return name, "error", "it is a coroutine or a generator, of which nothing was run"
    except AssertionError as error:
        return name, "fail", message_of(error)
    except BaseException as error:
        return name, "error", message_of(error)
    return name, "pass", ""


def outcomes_of_class(test_case: type[unittest.TestCase]) -> list[Outcome]:
    """Runs the methods of one class."""
    result = unittest.TestResult()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(test_case)
    ids = [test.id() for test in suite if isinstance(test, unittest.TestCase)]
    try:
        suite.run(result)
    except BaseException as error:
        return [(test_case.__name__, "error", message_of(error))]
    failed = {test.id(): ("fail", told) for test, told in result.failures}
    failed |= {test.id(): ("error", told) for test, told in result.errors}
    for test in result.unexpectedSuccesses:
        failed[test.id()] = ("fail", "it passes and should not")
    lost = [(name, kind, _tail(told)) for name, (kind, told) in failed.items() if name not in ids]
    known = [(name, *failed.get(name, ("pass", ""))) for name in ids]
    return [(name, kind, _tail(told)) for name, kind, told in known] + lost


def is_assertion(node: ast.AST) -> bool:
    """Whether a node asserts something."""
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return is_method and node.func.attr.startswith("assert")  # type: ignore[attr-defined]


def message_of(error: BaseException) -> str:
    """Its kind and what it says."""
    try:
        said = str(error)
    except BaseException:
        said = ""
    return f"{type(error).__name__}: {said}"[:_MESSAGE]


def _tail(told: str) -> str:
    """The last line of a traceback."""
    lines = told.strip().splitlines()
    return lines[-1][:_MESSAGE] if lines else ""


if __name__ == "__main__":
    main()
