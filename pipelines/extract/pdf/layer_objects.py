"""What is drawn on a PDF page beside its characters: lines, pictures, paths, and in what order.

One compiled pass over the objects of a page and of the forms in it. PDFium draws objects one after
another, so a picture that comes later than a text hides it: so stands the text of an OCR program
under its scan, and that of a slide's template under a picture. The place in this order is a number
in [0, 1); the objects of a form divide its interval among them.

PDFium is linked by the names of its functions (`types.ExternalFunction`), so that compiled code
can be kept on disk; a call from compiled code costs a few nanoseconds, through ctypes 0.7 us.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
import pypdfium2_raw  # type: ignore[import-untyped]
from numba import types
from numba.core.typing import signature

from annotators.text.kernels import kernel

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

llvm.load_library_permanently(str(next(Path(pypdfium2_raw.__file__).parent.glob("*pdfium.*"))))

HANDLE: Final = types.intp
INT: Final = types.int32


def pdfium_function(name: str, result: Any, *arguments: Any) -> Any:  # noqa: ANN401
    """A function of PDFium that compiled code can call; handles and pointers are integers."""
    return types.ExternalFunction(name, signature(result, *arguments))


_count_objects = pdfium_function("FPDFPage_CountObjects", INT, HANDLE)
_object_of = pdfium_function("FPDFPage_GetObject", HANDLE, HANDLE, INT)
_count_form_objects = pdfium_function("FPDFFormObj_CountObjects", INT, HANDLE)
_form_object_of = pdfium_function("FPDFFormObj_GetObject", HANDLE, HANDLE, types.uintp)
_type_of = pdfium_function("FPDFPageObj_GetType", INT, HANDLE)
_matrix_of = pdfium_function("FPDFPageObj_GetMatrix", INT, HANDLE, HANDLE)
_bounds_of = pdfium_function("FPDFPageObj_GetBounds", INT, HANDLE, HANDLE, HANDLE, HANDLE, HANDLE)
_is_transparent = pdfium_function("FPDFPageObj_HasTransparency", INT, HANDLE)
_count_segments = pdfium_function("FPDFPath_CountSegments", INT, HANDLE)
_segment_of = pdfium_function("FPDFPath_GetPathSegment", HANDLE, HANDLE, INT)
_point_of = pdfium_function("FPDFPathSegment_GetPoint", INT, HANDLE, HANDLE, HANDLE)
_segment_type_of = pdfium_function("FPDFPathSegment_GetType", INT, HANDLE)
_is_closing = pdfium_function("FPDFPathSegment_GetClose", INT, HANDLE)
_draw_mode_of = pdfium_function("FPDFPath_GetDrawMode", INT, HANDLE, HANDLE, HANDLE)

# Types of page objects and of segments of paths (fpdf_edit.h).
_TEXT_OBJECT: Final = 1
_PATH_OBJECT: Final = 2
_IMAGE_OBJECT: Final = 3
_FORM_OBJECT: Final = 5
_LINE_TO: Final = 0
_MOVE_TO: Final = 2
# Thinner than this is a line, in points; shorter is a dash or a part of a letter.
_RULE_WIDTH: Final = 2.5
_RULE_LENGTH: Final = 6.0
_SMALL_PATH: Final = 20.0  # points: no higher than a letter of a text
_MAX_RULES: Final = 4000
_MAX_SEGMENTS: Final = 60_000
_MAX_FORM_DEPTH: Final = 6


@dataclass(frozen=True, slots=True)
class Drawn:
    """Objects of a page, boxes in user space (two corners)."""

    rules: Floats
    """float32[k, 4]: level and upright lines and thin boxes."""
    pictures: Floats
    """float32[p, 4]: of pictures that hide what is behind them."""
    picture_places: npt.NDArray[np.float64]
    """float64[p], in the order of drawing."""
    texts: npt.NDArray[np.int64]
    """int64[t]: handles of text objects, ascending."""
    text_places: npt.NDArray[np.float64]
    """float64[t], in the order of drawing."""
    num_paths: int
    num_small_paths: int
    """Not higher than a letter: text that is drawn as curves has many."""

    def places_of(self, handles: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """float64[n]: where text objects stand in the order of drawing; 1 for unknown ones."""
        if not len(self.texts):
            return np.ones(len(handles))
        at = np.minimum(np.searchsorted(self.texts, handles), len(self.texts) - 1)
        return np.where(self.texts[at] == handles, self.text_places[at], 1.0)


def handle_of(raw: Any) -> int:  # noqa: ANN401
    """The address in a pointer of ctypes."""
    return ctypes.cast(raw, ctypes.c_void_p).value or 0


def read_drawn(page: pdfium.PdfPage) -> Drawn:
    """The objects of a page and of the forms on it."""
    found = [
        _read_objects(handle, is_form, matrix, first, step)
        for handle, is_form, matrix, first, step in _containers(
            handle_of(page.raw), False, np.eye(3), 0.0, 1.0, 0
        )
    ]
    rules, pictures, picture_places, texts, text_places, num_paths, num_small = zip(
        *found, strict=True
    )
    handles = np.concatenate(texts)
    order = np.argsort(handles, kind="stable")
    return Drawn(
        rules=np.concatenate(rules)[:_MAX_RULES],
        pictures=np.concatenate(pictures),
        picture_places=np.concatenate(picture_places),
        texts=handles[order],
        text_places=np.concatenate(text_places)[order],
        num_paths=int(sum(num_paths)),
        num_small_paths=int(sum(num_small)),
    )


def _containers(
    handle: int,
    is_form: bool,
    matrix: npt.NDArray[np.float64],
    first: float,
    step: float,
    depth: int,
) -> Iterator[tuple[int, bool, npt.NDArray[np.float64], float, float]]:
    """A page and the forms in it: what maps each to user space, and its part of the order."""
    yield handle, is_form, matrix, first, step
    if depth >= _MAX_FORM_DEPTH:
        return
    handles, matrices, shares, share = _forms(handle, is_form)
    for child, (a, b, c, d, e, f), place in zip(
        handles.tolist(), matrices.tolist(), shares.tolist(), strict=True
    ):
        inner = np.array([[a, b, 0.0], [c, d, 0.0], [e, f, 1.0]]) @ matrix
        yield from _containers(child, True, inner, first + place * step, share * step, depth + 1)


@kernel
def _forms(handle: int, is_form: bool) -> tuple[Ints, Doubles, Doubles, float]:
    """Forms in a page or form: handles, matrices float64[k, 6], places, and the share of each."""
    num_objects = _count_form_objects(handle) if is_form else _count_objects(handle)
    num_objects = max(num_objects, 0)
    handles = np.zeros(num_objects, np.int64)
    matrices = np.zeros((num_objects, 6), np.float64)
    places = np.zeros(num_objects, np.float64)
    matrix = np.zeros(6, np.float32)
    num_found = 0
    for i in range(num_objects):
        item = _form_object_of(handle, np.uint64(i)) if is_form else _object_of(handle, i)
        if item != 0 and _type_of(item) == _FORM_OBJECT:
            _matrix_of(item, matrix.ctypes.data)
            handles[num_found] = item
            matrices[num_found] = matrix
            places[num_found] = i / num_objects
            num_found += 1
    share = 1.0 / max(num_objects, 1)
    return handles[:num_found].copy(), matrices[:num_found].copy(), places[:num_found].copy(), share


@kernel
def _read_objects(
    handle: int, is_form: bool, outer: Doubles, first: float, step: float
) -> tuple[Floats, Floats, Doubles, Ints, Doubles, int, int]:
    """What stands in a page or form: see `Drawn`; `first` and `step` are its part of the order."""
    num_objects = max(_count_form_objects(handle) if is_form else _count_objects(handle), 0)
    rules = np.zeros((_MAX_RULES, 4), np.float32)
    pictures = np.zeros((num_objects, 4), np.float32)
    picture_places = np.zeros(num_objects, np.float64)
    texts = np.zeros(num_objects, np.int64)
    text_places = np.zeros(num_objects, np.float64)
    bounds = np.zeros(4, np.float32)
    num_rules, num_pictures, num_texts, num_paths, num_small, num_read = 0, 0, 0, 0, 0, 0
    for i in range(num_objects):
        item = _form_object_of(handle, np.uint64(i)) if is_form else _object_of(handle, i)
        kind = _type_of(item) if item != 0 else 0
        place = first + step * i / num_objects
        if kind == _TEXT_OBJECT:
            texts[num_texts], text_places[num_texts] = item, place
            num_texts += 1
        if kind != _IMAGE_OBJECT and kind != _PATH_OBJECT:
            continue
        at = bounds.ctypes.data
        bounds[:] = 0
        _bounds_of(item, at, at + 4, at + 8, at + 12)
        if kind == _IMAGE_OBJECT:
            if _is_transparent(item) == 0:
                x0, y0 = _mapped(outer, bounds[0], bounds[1])
                x1, y1 = _mapped(outer, bounds[2], bounds[3])
                pictures[num_pictures, 0], pictures[num_pictures, 1] = x0, y0
                pictures[num_pictures, 2], pictures[num_pictures, 3] = x1, y1
                picture_places[num_pictures] = place
                num_pictures += 1
            continue
        num_paths += 1
        num_small += abs(bounds[3] - bounds[1]) <= _SMALL_PATH
        num_segments = _count_segments(item)
        num_read += num_segments
        if num_segments >= 2 and num_read <= _MAX_SEGMENTS:
            num_rules = _read_rules(item, num_segments, outer, rules, num_rules)
    return (
        rules[:num_rules].copy(),
        pictures[:num_pictures].copy(),
        picture_places[:num_pictures].copy(),
        texts[:num_texts].copy(),
        text_places[:num_texts].copy(),
        num_paths,
        num_small,
    )


@kernel
def _mapped(outer: Doubles, x: float, y: float) -> tuple[float, float]:
    """A point of a form in user space."""
    return (
        x * outer[0, 0] + y * outer[1, 0] + outer[2, 0],
        x * outer[0, 1] + y * outer[1, 1] + outer[2, 1],
    )


@kernel
def _read_rules(item: int, num_segments: int, outer: Doubles, rules: Floats, num_rules: int) -> int:
    """Adds the level and upright lines and the thin boxes of a path; how many there are then."""
    matrix = np.zeros(6, np.float32)
    mode = np.zeros(2, np.int32)
    point = np.zeros(2, np.float32)
    _draw_mode_of(item, mode.ctypes.data, mode.ctypes.data + 4)
    is_stroked, is_filled = mode[1] != 0, mode[0] != 0
    if not is_stroked and not is_filled:
        return num_rules
    _matrix_of(item, matrix.ctypes.data)
    low_x, low_y, high_x, high_y = np.inf, np.inf, -np.inf, -np.inf
    sub_x, sub_y, last_x, last_y, x, y = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    segment = 0
    for k in range(num_segments + 1):
        kind = _MOVE_TO
        if k < num_segments:
            segment = _segment_of(item, k)
            kind = _segment_type_of(segment)
            _point_of(segment, point.ctypes.data, point.ctypes.data + 4)
            x, y = _mapped(
                outer,
                matrix[0] * point[0] + matrix[2] * point[1] + matrix[4],
                matrix[1] * point[0] + matrix[3] * point[1] + matrix[5],
            )
        if kind == _MOVE_TO:
            # A part of the path is done: a thin box that is filled is a line.
            wide, high = high_x - low_x, high_y - low_y
            is_thin = min(wide, high) <= _RULE_WIDTH and max(wide, high) >= _RULE_LENGTH
            if is_filled and is_thin:
                num_rules = _add_rule(rules, num_rules, low_x, low_y, high_x, high_y)
            low_x, low_y, high_x, high_y = x, y, x, y
            sub_x, sub_y, last_x, last_y = x, y, x, y
            continue
        low_x, low_y = min(low_x, x), min(low_y, y)
        high_x, high_y = max(high_x, x), max(high_y, y)
        if is_stroked and kind == _LINE_TO:
            num_rules = _add_line(rules, num_rules, last_x, last_y, x, y)
            if _is_closing(segment) == 1:
                num_rules = _add_line(rules, num_rules, x, y, sub_x, sub_y)
        last_x, last_y = x, y
    return num_rules


@kernel
def _add_line(rules: Floats, num_rules: int, x0: float, y0: float, x1: float, y1: float) -> int:
    """Adds a line where it is level or upright and long enough."""
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    if min(dx, dy) <= 0.5 and max(dx, dy) >= _RULE_LENGTH:
        return _add_rule(rules, num_rules, x0, y0, x1, y1)
    return num_rules


@kernel
def _add_rule(rules: Floats, num_rules: int, x0: float, y0: float, x1: float, y1: float) -> int:
    """Adds a rule where there is room."""
    if num_rules >= len(rules):
        return num_rules
    rules[num_rules, 0], rules[num_rules, 1] = x0, y0
    rules[num_rules, 2], rules[num_rules, 3] = x1, y1
    return num_rules + 1
