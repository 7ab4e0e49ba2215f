"""Marks in a syntax tree that count which statements and branches of a program were run.

Statement and branch coverage as coverage.py counts it with `--branch`: share = (statements run +
branch outcomes seen) / (statements + branch outcomes). Outcomes are: a condition of `if`, `while`,
`... if ... else` and of a comprehension true and false, a `for` loop that is entered and one that
comes to its end, each case of `match` and none of them.

Tracing by line (`sys.settrace`, `sys.monitoring`) was the other way: it sees neither outcome of
`a if b else c` nor a loop on one line, its events differ between Python 3.11 and 3.12, and it slows
each line. Marks are ordinary statements, so the same program has the same coverage everywhere.

A mark is `__hit__[n] = 1`; a condition becomes `__branch__(n, condition)`, which marks n for true
and n + 1 for false. Both names are globals of the module. Not counted is what cannot be run by an
import: `if __name__ == "__main__":` and `if TYPE_CHECKING:`.
"""

import ast
from typing import Any

HIT = "__hit__"
BRANCH = "__branch__"


class Marker(ast.NodeTransformer):
    """Puts marks into a tree; `lines` says where each stands."""

    def __init__(self) -> None:
        """No mark yet."""
        self.lines: list[int] = []

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Marks a module."""
        node.body = self._block(node.body, has_docstring=True)
        return node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Marks the blocks of a statement, and what else is below it."""
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, field, self._block(value, has_docstring=_may_have_docstring(node)))
            elif isinstance(value, list):
                value[:] = [self.visit(one) if isinstance(one, ast.AST) else one for one in value]
            elif isinstance(value, ast.AST):
                setattr(node, field, self.visit(value))
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        """Marks both ways."""
        if _is_never_run(node.test):
            node.orelse = self._block(node.orelse)
            return node
        return self._condition(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        """Marks going on and stopping."""
        return self._condition(node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """Marks both values."""
        return self._condition(node)

    def visit_For(self, node: ast.For) -> ast.AST:
        """Marks the end of the loop, where no `break` leads."""
        line = node.lineno
        self.generic_visit(node)
        node.orelse = [self._mark(line), *node.orelse]
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        """Marks what its conditions let through, and what not."""
        self.generic_visit(node)
        node.ifs = [self._branch(test) for test in node.ifs]
        return node

    def visit_Match(self, node: ast.Match) -> ast.AST:
        """Marks that no case fits, where that can be."""
        line = node.lineno
        self.generic_visit(node)
        last = node.cases[-1]
        is_open = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None
        if not is_open or last.guard is not None:
            wildcard = ast.MatchAs(pattern=None, name=None)
            node.cases.append(ast.match_case(pattern=wildcard, body=[self._mark(line)]))
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        """Marks both outcomes of a guard."""
        self.generic_visit(node)
        if node.guard is not None:
            node.guard = self._branch(node.guard)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Leaves f-strings alone: before Python 3.12 their parts have no lines of their own."""
        return node

    def _condition(self, node: Any) -> ast.AST:  # noqa: ANN401 - one of three kinds of node
        self.generic_visit(node)
        node.test = self._branch(node.test)
        return node  # type: ignore[no-any-return]

    def _block(self, body: list[ast.stmt], *, has_docstring: bool = False) -> list[ast.stmt]:
        marked: list[ast.stmt] = []
        for place, statement in enumerate(body):
            is_docstring = has_docstring and place == 0 and _is_string(statement)
            is_marked = not (is_docstring or _is_from_future(statement) or _is_guard(statement))
            if is_marked:
                marked.append(self._mark(statement.lineno))
            marked.append(self.visit(statement))
        return marked

    def _mark(self, line: int) -> ast.stmt:
        target = ast.Subscript(
            value=ast.Name(id=HIT, ctx=ast.Load()), slice=self._number(line), ctx=ast.Store()
        )
        mark = ast.Assign(targets=[target], value=ast.Constant(value=1))
        mark.lineno = mark.end_lineno = line
        mark.col_offset = mark.end_col_offset = 0
        return mark

    def _branch(self, test: ast.expr) -> ast.expr:
        if isinstance(test, ast.Constant):
            return test  # `while True` has one way
        number = self._number(test.lineno)
        self._number(test.lineno)
        call = ast.Call(func=ast.Name(id=BRANCH, ctx=ast.Load()), args=[number, test], keywords=[])
        return ast.copy_location(call, test)

    def _number(self, line: int) -> ast.Constant:
        self.lines.append(line)
        return ast.Constant(value=len(self.lines) - 1)


def marked(source: str) -> tuple[ast.Module, list[int]]:
    """A program with marks.

    Returns:
        Its tree, and the line of each mark.

    Raises:
        SyntaxError: It is no Python.
        RecursionError: It is nested too deeply.
    """
    marker = Marker()
    tree = marker.visit(ast.parse(source))
    return ast.fix_missing_locations(tree), marker.lines


def names_for(num_marks: int) -> tuple[bytearray, dict[str, Any]]:
    """What marks write to.

    Returns:
        uint8[num_marks], 1 where a mark was met; and the globals that the marked module needs.
    """
    hit = bytearray(num_marks)

    def branch(number: int, value: object) -> bool:
        is_true = bool(value)
        hit[number if is_true else number + 1] = 1
        return is_true

    return hit, {HIT: hit, BRANCH: branch}


def hollowed(source: str, value: str) -> ast.Module:
    """A program whose functions and methods do nothing but return a constant.

    Args:
        source: The program.
        value: The constant as Python writes it; `__init__` and its like return nothing.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            told = "None" if node.name in ("__init__", "__post_init__", "__set_name__") else value
            node.body = ast.parse(f"def _():\n    return {told}").body[0].body  # type: ignore[attr-defined]
    return ast.fix_missing_locations(tree)


def _may_have_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)


def _is_string(node: ast.stmt) -> bool:
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant and isinstance(node.value.value, str)  # type: ignore[attr-defined]


def _is_from_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and _is_never_run(node.test)


def _is_never_run(test: ast.expr) -> bool:
    if isinstance(test, ast.Name):
        return test.id == "TYPE_CHECKING"
    if isinstance(test, ast.Attribute):
        return test.attr == "TYPE_CHECKING"
    is_equality = isinstance(test, ast.Compare) and isinstance(test.left, ast.Name)
    return is_equality and test.left.id == "__name__"  # type: ignore[attr-defined]
