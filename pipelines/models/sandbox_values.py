"""What is run in the sandbox and what came of it, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

Outcome = Literal["ok", "failed", "timed_out", "out_of_memory", "output_limit", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLimits:
    """What one run may use."""

    seconds: float = 10.0
    """Time on the clock."""
    cpu_seconds: float = 10.0
    """CPU time of all its processes together."""
    memory_bytes: int = 512 << 20
    """Address space of each process, and memory of all together."""
    processes: int = 16
    """Processes and threads at once."""
    file_bytes: int = 16 << 20
    """All files in the work folder together, given ones included."""
    output_bytes: int = 1 << 20
    """stdout and stderr, each."""

    def __post_init__(self) -> None:
        for one in fields(self):
            found = getattr(self, one.name)
            if not 0 < found < 1 << 62:
                raise ValueError(f"limit {one.name} of a code run must be above 0, not {found}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRun:
    """One program to run."""

    files: Mapping[str, str]
    """Name, with folders or without -> text; they are put into the work folder."""
    command: tuple[str, ...] = ("python", "main.py")
    """`python` is the interpreter that tokenmill itself runs on."""
    stdin: str = ""
    limits: CodeLimits = field(default_factory=CodeLimits)
    packages: tuple[str, ...] = ()
    """Installed distributions, such as numpy or pytest, that the program may import beside the
    standard library; those they require come with them."""

    def __post_init__(self) -> None:
        if not self.command:
            raise ValueError("a code run needs a command, such as ('python', 'main.py')")
        for name in self.files:
            if "\0" in name or {"", ".", ".."} & set(name.split("/")):
                raise ValueError(
                    f"file {name!r} of a code run: names are relative, without `.` and `..`"
                )
        size = sum(len(text.encode(errors="surrogatepass")) for text in self.files.values())
        if size > self.limits.file_bytes:
            raise ValueError(
                f"files of a code run have {size} bytes, its limit is {self.limits.file_bytes}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeResult:
    """What came of a run."""

    outcome: Outcome
    """failed: an exit code other than 0; killed: by a signal that no limit explains."""
    exit_code: int | None
    """None when it did not come to its own end."""
    stdout: str
    """Cut at the limit; bytes that are no UTF-8 are replaced."""
    stderr: str
    seconds: float
