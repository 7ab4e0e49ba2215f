"""Time of compiling: measured where numba compiles, and told where it will."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numba import njit

from pipelines.annotate.compiling import are_uncompiled, clocked, compile_with
from pipelines.annotate.registry import spec_of

sys.path.append(str(Path(__file__).parent))  # for `labellers`


def test_compiling_is_measured_and_calling_is_not() -> None:
    @njit
    def inner(values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return values.sum()

    @njit
    def outer(values):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return inner(values) + 1

    with clocked() as first:
        assert outer(np.ones(3)) == 4
    with clocked() as second:
        assert outer(np.ones(3)) == 4
    assert first.seconds > 0
    assert second.seconds == 0


PACKAGED = """
from numba import njit
from annotators.annotator import annotator

@njit(cache=True, forceinline=True)
def inlined(number):
    return number + 1

@njit(cache=True)
def next_of(number):
    return inlined(number)

@annotator(columns={"next": int})
def nexts(texts):
    return [next_of(len(text)) for text in texts.to_pylist()]
"""


def test_kernels_that_were_never_compiled_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packaged"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "kernels.py").write_text(PACKAGED, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    spec = spec_of("packaged.kernels:nexts", {})
    assert are_uncompiled([spec])
    made = spec.annotator(pa.array(["ab"], pa.large_string()), {})
    assert made.column("next").to_pylist() == [3]
    assert not are_uncompiled([spec])


def test_annotators_without_kernels_have_none_to_compile() -> None:
    assert not are_uncompiled([spec_of("license", {}), spec_of("labellers:marks", {})])


def test_modules_are_run_side_by_side_and_failures_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "makes_a_file.py").write_text(
        f"open({str(tmp_path / 'made')!r}, 'w').close()", encoding="utf-8"
    )
    (tmp_path / "fails.py").write_text("raise SystemExit('no compiler')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    [note] = compile_with(["fails", "makes_a_file"])
    assert note.endswith("-m fails`, which compiles kernels, ended with exit code 1: no compiler")
    assert (tmp_path / "made").exists()
