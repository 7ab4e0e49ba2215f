r"""One attempt at a problem, in any of three styles.

    chain_of_thought  one answer in prose; its result stands in \boxed{}
    program_aided     one answer with a Python program; what it prints last is the result
    tool_integrated   turns: the model ends a message with a program, is told what it printed, and
                      goes on, until it concludes with \boxed{} or has used up its programs

Programs run in the sandbox, each alone: nothing is kept between them. What the model wrote behind a
program (it may go on with an output of its own invention) is cut off before it is run.

Why an attempt has no result: a reason of `chat.REASONS`, or
    no_answer               neither a box nor a phrase says what comes out
    no_program              program_aided without a block of Python
    syntax_error            that is no Python
    program_failed, program_timed_out, program_out_of_memory, program_output_limit, program_killed
    no_output               a program that prints nothing
    too_many_turns          still asking for programs at the end
    unreadable_answer       longer or deeper nested than an answer is
"""

import ast
import re
from dataclasses import dataclass, replace
from typing import Final

from pipelines.models.chat import Answer, Message, Request
from pipelines.models.desk import Desk
from pipelines.models.sandbox import CodeLimits, CodeResult, CodeRun
from pipelines.synthesize.asking import switched
from pipelines.synthesize.mathematics.answers import final_answer, is_readable, plain_form
from pipelines.synthesize.mathematics.prompts import MathPrompt
from pipelines.synthesize.mathematics.settings import Solving, Style
from pipelines.synthesize.samples import Turn

NOT_COUNTED: Final = frozenset({"endpoint", "timed_out", "bad_request", "context_overflow"})
"""Reasons of an attempt that say nothing about the problem."""

_PROGRAM: Final = re.compile(r"```[ \t]*(?:python|py)[ \t]*\n(?P<code>.*?)\n?[ \t]*```", re.DOTALL)
_OUTPUT_STOP: Final = "```output"
_OUTPUT_CHARACTERS: Final = 2000
_OUTCOMES: Final = {
    "failed": "program_failed",
    "timed_out": "program_timed_out",
    "out_of_memory": "program_out_of_memory",
    "output_limit": "program_output_limit",
    "killed": "program_killed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of it."""

    style: Style
    number: int
    """From 0, within problem and style."""
    request: Request
    """The last."""
    answer: Answer
    """To the last request."""
    turns: tuple[Turn, ...]
    """All behind the problem."""
    completion_tokens: int
    """Of all requests."""
    final: str | None = None
    """The result as written."""
    form: str | None = None
    """Its plain form."""
    is_boxed: bool = True
    """False where only a phrase announces it."""
    reason: str | None = None
    """Why there is no result, and later why it is not accepted."""
    message: str | None = None

    def rejected(self, reason: str, message: str) -> "Attempt":
        """This attempt, not accepted."""
        return replace(self, reason=reason, message=message)

    @property
    def counts(self) -> bool:
        """Whether it says anything about the problem."""
        return self.reason not in NOT_COUNTED

    @property
    def text(self) -> str:
        """The solution as a learner reads it, outputs of programs included."""
        return "\n\n".join(
            f"```output\n{turn.content}\n```" if turn.role == "tool" else turn.content.strip()
            for turn in self.turns
        )

    @property
    def thinking(self) -> str:
        """The thinking of all turns."""
        return "\n\n".join(turn.reasoning for turn in self.turns if turn.reasoning)


def first_request(
    prompt: MathPrompt, solving: Solving, problem: str, attempt: int, desk: Desk
) -> Request:
    """The question that opens an attempt."""
    return Request(
        messages=prompt.messages(problem=problem),
        sampling=solving.sampling,
        thinking=switched(solving.thinking, desk),
        attempt=attempt,
    )


async def attempted(
    style: Style, prompt: MathPrompt, solving: Solving, problem: str, number: int, desk: Desk
) -> Attempt:
    """Tries a problem once.

    Raises:
        EndpointError: The model cannot be asked.
        SandboxError: There is none for programs.
    """
    request = first_request(prompt, solving, problem, number, desk)
    if style == "tool_integrated":
        return await _tool_integrated(solving, request, desk)
    answer = await desk.ask(request)
    turns = (Turn("assistant", answer.text or "", answer.reasoning),)
    attempt = Attempt(
        style=style,
        number=number,
        request=request,
        answer=answer,
        turns=turns,
        completion_tokens=answer.completion_tokens,
    )
    if answer.reason is not None or not (answer.text or "").strip():
        return attempt.rejected(*_request_failure(answer))
    return await _run(attempt, solving, desk) if style == "program_aided" else _boxed(attempt)


def program_in(text: str) -> str | None:
    """The code of the first block of Python, or None."""
    match = _PROGRAM.search(text)
    return match["code"] if match else None


def _request_failure(answer: Answer) -> tuple[str, str]:
    reason = answer.reason or "empty"
    return reason, answer.message or f"the model's answer is {reason}"


def _boxed(attempt: Attempt) -> Attempt:
    """Reads the result off the last turn."""
    found = final_answer(attempt.turns[-1].content)
    if found is None:
        return attempt.rejected("no_answer", "neither a box nor a phrase says what comes out")
    return _with_result(replace(attempt, is_boxed=found.how == "boxed"), found.text)


def _with_result(attempt: Attempt, final: str) -> Attempt:
    form = plain_form(final)
    if not is_readable(form):
        message = f"an answer of {len(form)} characters, or nested too deep"
        return replace(attempt, final=final[:200]).rejected("unreadable_answer", message)
    return replace(attempt, final=final, form=form)


async def _run(attempt: Attempt, solving: Solving, desk: Desk) -> Attempt:
    """Runs the program of the one turn and reads the result off its output."""
    code = program_in(attempt.turns[-1].content)
    if code is None:
        return attempt.rejected("no_program", "no block begins with ```python and ends with ```")
    wrong = _syntax_error(code)
    if wrong is not None:
        return attempt.rejected("syntax_error", wrong)
    result = await desk.run_code(_code_run(code, solving))
    told = replace(attempt, turns=(*attempt.turns, Turn("tool", _output_of(result))))
    if result.outcome != "ok":
        return told.rejected(_OUTCOMES[result.outcome], _last_line(result.stderr) or result.outcome)
    last = _last_line(result.stdout)
    if not last:
        return told.rejected("no_output", "the program printed nothing")
    found = final_answer(last)
    return _with_result(told, found.text if found else last)


async def _tool_integrated(solving: Solving, request: Request, desk: Desk) -> Attempt:
    sampling = solving.sampling
    # Else it may go on with what it thinks its program prints.
    stop = tuple(dict.fromkeys((*sampling.stop, _OUTPUT_STOP)))
    request = replace(request, sampling=sampling.model_copy(update={"stop": stop}))
    turns: list[Turn] = []
    tokens = 0
    while True:
        answer = await desk.ask(request)
        tokens += answer.completion_tokens
        attempt = Attempt(
            style="tool_integrated",
            number=request.attempt,
            request=request,
            answer=answer,
            turns=(*turns, Turn("assistant", answer.text or "", answer.reasoning)),
            completion_tokens=tokens,
        )
        if answer.reason is not None or not (answer.text or "").strip():
            return attempt.rejected(*_request_failure(answer))
        program = _PROGRAM.search(answer.text or "")
        if program is None:
            return _boxed(attempt)
        if sum(turn.role == "tool" for turn in turns) >= solving.turns:
            message = f"more than {solving.turns} programs"
            return attempt.rejected("too_many_turns", message)
        said = program.string[: program.end()]
        output = await _told(program["code"], solving, desk)
        turns += [Turn("assistant", said, answer.reasoning), Turn("tool", output)]
        told = f"Your program printed:\n{_OUTPUT_STOP}\n{output}\n```"
        more = (Message("assistant", said), Message("user", told))
        request = replace(request, messages=(*request.messages, *more))


async def _told(code: str, solving: Solving, desk: Desk) -> str:
    """What the model is told of a program, mistakes included: it may put them right."""
    wrong = _syntax_error(code)
    return wrong if wrong is not None else _output_of(await desk.run_code(_code_run(code, solving)))


def _code_run(code: str, solving: Solving) -> CodeRun:
    seconds = solving.program_seconds
    return CodeRun(
        files={"main.py": code + "\n"},
        limits=CodeLimits(seconds=seconds, cpu_seconds=seconds),
        packages=solving.packages,
    )


def _syntax_error(code: str) -> str | None:
    """Only to save a process: nothing is trusted to it."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _output_of(result: CodeResult) -> str:
    if result.outcome == "ok":
        return result.stdout[-_OUTPUT_CHARACTERS:].strip() or "(nothing)"
    if result.outcome == "failed":
        return _last_line(result.stderr)[-_OUTPUT_CHARACTERS:] or "(it failed)"
    return result.outcome.replace("_", " ")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
