"""Makes inputs for programs, and runs a program on each, inside the sandbox.

The order comes by standard input as JSON, the report goes out as lines of JSON behind a mark that
the program does not know. A program (`program.py`) reads standard input and writes standard output;
each input gets a process of its own, forked from one that has compiled it: fifty starts of the
interpreter take 0.5 s, fifty forks 0.06 s.

Outputs are compared by digest, without blanks at the ends of lines and without empty lines at the
end. The first input on which a program fails ends its run: it is out.
"""

import hashlib
import json
import os
import random
import resource
import select
import signal
import sys
import time
import types
import warnings
from collections.abc import Callable
from typing import Any

_ORDER = "TOKENMILL_ORDER"
_FILE = "order.json"
_INPUT = "input.txt"
_STEP = 1 << 16
_MESSAGE = 300
_SHOWN = 400
Report = Callable[[dict[str, Any]], None]


def main() -> None:
    """Reads the order, runs and reports."""
    is_again = os.environ.pop(_ORDER, "") == _FILE
    with open(_FILE if is_again else 0, encoding="utf-8") as file:
        order = json.load(file)
    seed = str(order["hash_seed"])
    if os.environ.get("PYTHONHASHSEED") != seed and not is_again:
        with open(_FILE, "w", encoding="utf-8") as file:
            json.dump(order, file)
        told = {"PYTHONHASHSEED": seed, _ORDER: _FILE}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **told})
    if is_again:
        os.unlink(_FILE)
    out = os.dup(1)
    warnings.simplefilter("ignore")

    def report(line: dict[str, Any]) -> None:
        data = f"\n{order['mark']}{json.dumps(line, ensure_ascii=False)}\n".encode()
        while data:
            data = data[os.write(out, data) :]

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    if order["do"] == "generate":
        generate(order, report)
    else:
        solve(order, out, report)
    os._exit(0)


def generate(order: dict[str, Any], report: Report) -> None:
    """Asks `generator.py` for inputs: `generate_input(scale, seed)`, `is_valid(text)`.

    Inputs that are not valid, too long, or there already are counted and left out.
    """
    made = types.ModuleType("generator")
    sys.modules["generator"] = made
    try:
        exec(_compiled("generator"), made.__dict__)
        make, is_valid = made.__dict__["generate_input"], made.__dict__["is_valid"]
    except BaseException as error:
        report({"error": message_of(error)})
        return
    seen: set[str] = set()
    left = int(order["max_total_characters"])
    lost = {"invalid": 0, "twice": 0, "too_long": 0}
    for scale, seed in order["asked"]:
        random.seed(seed)
        try:
            text = make(scale, seed)
            is_text = isinstance(text, str)
            fits = is_text and bool(is_valid(text))
        except BaseException as error:
            report({"error": f"scale {scale}, seed {seed}: {message_of(error)}"})
            return
        if not is_text or not fits:
            lost["invalid"] += 1
        elif text in seen:
            lost["twice"] += 1
        elif len(text) > min(left, order["max_characters"]):
            lost["too_long"] += 1
        else:
            seen.add(text)
            left -= len(text)
            report({"input": text.encode("utf-8", "replace").decode()})
    report({"lost": lost})


def solve(order: dict[str, Any], out: int, report: Report) -> None:
    """Runs `program.py` on each input; reports a digest for each, or what stopped it."""
    try:
        code = _compiled("program")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        report({"syntax": message_of(error)})
        return
    for text in order["inputs"]:
        outcome, data = run(code, text.encode(), order, out)
        if outcome != "ok":
            report({"stopped": outcome, "message": data.decode("utf-8", "replace")[:_MESSAGE]})
            return
        output = "\n".join(line.rstrip() for line in data.decode("utf-8", "replace").split("\n"))
        output = output.rstrip("\n")
        digest = hashlib.sha256(output.encode()).hexdigest()[:32]
        report({"digest": digest, "shown": output if len(output) <= _SHOWN else None})


def run(code: types.CodeType, data: bytes, order: dict[str, Any], out: int) -> tuple[str, bytes]:
    """Runs a program once in a process of its own.

    Returns:
        `ok` and what it printed; or `error`, `timed_out`, `output_limit`, and a message.
    """
    with open(_INPUT, "wb") as file:
        file.write(data)
    given = os.open(_INPUT, os.O_RDONLY)
    os.unlink(_INPUT)
    output_r, output_w = os.pipe()
    error_r, error_w = os.pipe()
    child = os.fork()
    if not child:
        for mine in (output_r, error_r, out):
            os.close(mine)
        play(code, given, output_w, error_w, int(order["cpu_seconds"]))
    for theirs in (given, output_w, error_w):
        os.close(theirs)
    try:
        output, problem = read(output_r, order["max_output_bytes"], order["seconds"])
        if problem is not None:
            return problem, b"after its output so far"
        return _ended(child, error_r, output)
    finally:
        try:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(output_r)
        os.close(error_r)


def _ended(child: int, error_r: int, output: bytes) -> tuple[str, bytes]:
    """What became of a process that has closed its output."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        is_time = number in (signal.SIGXCPU, signal.SIGKILL)
        return "timed_out" if is_time else "error", f"signal {number}".encode()
    if os.WEXITSTATUS(status):
        return "error", os.read(error_r, _STEP) or f"exit {os.WEXITSTATUS(status)}".encode()
    return "ok", output


def read(file: int, limit: int, seconds: float) -> tuple[bytes, str | None]:
    """Reads a pipe to its end, or to a limit of bytes or time."""
    pieces: list[bytes] = []
    size, end = 0, time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([file], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return b"", "timed_out"
        piece = os.read(file, _STEP)
        if not piece:
            return b"".join(pieces), None
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            return b"", "output_limit"


def play(code: types.CodeType, given: int, output: int, error: int, seconds: int) -> None:
    """Is the program; never returns."""
    status = 0
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        os.dup2(given, 0)
        os.dup2(output, 1)
        os.close(output)
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        sys.argv = ["program.py"]
        try:
            exec(code, module.__dict__)
        except SystemExit as left:
            status = 0 if left.code in (None, 0) else 1
        sys.stdout.flush()
    except BaseException as problem:
        status = 1
        os.write(error, message_of(problem).encode("utf-8", "replace"))
    os._exit(status)


def message_of(error: BaseException) -> str:
    """Its kind and what it says."""
    try:
        said = str(error)
    except BaseException:
        said = ""
    return f"{type(error).__name__}: {said}"[:_MESSAGE]


def _compiled(name: str) -> types.CodeType:
    with open(f"{name}.py", encoding="utf-8") as file:
        return compile(file.read(), f"{name}.py", "exec")


if __name__ == "__main__":
    main()
