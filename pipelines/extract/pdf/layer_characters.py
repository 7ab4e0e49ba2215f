"""The characters of a PDF page with places, sizes and fonts, through compiled calls of PDFium.

A page has thousands of characters, and a ctypes call costs about 0.7 us beside 0.01 us of what it
does; so the loop over them is compiled and calls the functions of the library by their symbols
(`layer_objects`). Measured on the olmOCR sample pages: 0.1-0.4 ms a page for all characters,
beside 2-7 ms for parsing the page.

Coordinates are those of the page as it is shown: points from the top left of the crop box, turned
by /Rotate. A page most of whose text is turned by quarters can be turned back (`Frame`).
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
from numba import types

from annotators.text.kernels import kernel
from pipelines.extract.pdf.layer_objects import HANDLE, INT, Drawn, handle_of, pdfium_function

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
_Float = TypeVar("_Float", np.float32, np.float64)

_unicode_of = pdfium_function("FPDFText_GetUnicode", types.uint32, HANDLE, INT)
_is_generated = pdfium_function("FPDFText_IsGenerated", INT, HANDLE, INT)
_is_unmapped = pdfium_function("FPDFText_HasUnicodeMapError", INT, HANDLE, INT)
_loose_box_of = pdfium_function("FPDFText_GetLooseCharBox", INT, HANDLE, INT, HANDLE)
_origin_of = pdfium_function("FPDFText_GetCharOrigin", INT, HANDLE, INT, HANDLE, HANDLE)
_font_size_of = pdfium_function("FPDFText_GetFontSize", types.float64, HANDLE, INT)
_matrix_of = pdfium_function("FPDFText_GetMatrix", INT, HANDLE, INT, HANDLE)
_text_object_of = pdfium_function("FPDFText_GetTextObject", HANDLE, HANDLE, INT)
_render_mode_of = pdfium_function("FPDFTextObj_GetTextRenderMode", INT, HANDLE)
_font_info_of = pdfium_function(
    "FPDFText_GetFontInfo", types.uintp, HANDLE, INT, HANDLE, types.uintp, HANDLE
)

INVISIBLE: Final = 16  # flags of characters, see `Characters`
UNMAPPED: Final = 32
COVERED: Final = 64
SLANT: Final = 4  # in the place of quarter turns: a direction between
_INVISIBLE_MODE: Final = 3  # text render mode (ISO 32000-1, table 106)
_SLANTED: Final = 0.15  # tangent; scans are laid askew by less
_FORCE_BOLD: Final = 1 << 18  # font descriptor flags (ISO 32000-1, table 123)
_ITALIC: Final = 1 << 6
_FIXED_PITCH: Final = 1


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters of a page in the order of the file, as it is shown."""

    code: npt.NDArray[np.uint32]
    """uint32[n], code points; generated ones (spaces, ends of lines) are among them."""
    box: Floats
    """float32[n, 4]: x0, y0, x1, y1 in points, from the top left."""
    origin: Floats
    """float32[n, 2]: where the baseline begins."""
    size: Floats
    """float32[n], of the font, in points."""
    turn: npt.NDArray[np.uint8]
    """uint8[n]: quarter turns, clockwise; 4 slanted."""
    flags: npt.NDArray[np.uint8]
    """uint8[n]: 1 generated, 2 bold, 4 italic, 8 fixed pitch, 16 invisible, 32 unmapped, 64 under
    a picture."""
    text_object: Ints
    """int64[n]: handle of the text object that draws it; 0 of a generated one."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How user space becomes the page that is shown."""

    left: float
    top: float
    width: float  # as shown
    height: float
    turn: int  # quarters, clockwise

    @classmethod
    def of(cls, page: pdfium.PdfPage) -> "Frame":
        """That of a page."""
        left, bottom, right, top = page.get_bbox()
        turn = page.get_rotation() // 90 % 4
        width, height = right - left, top - bottom
        if turn % 2:
            width, height = height, width
        return cls(left, top, width, height, turn)

    def points(self, xy: npt.NDArray[_Float]) -> Floats:
        """float[n, 2] of user space -> float32[n, 2] as shown."""
        x, y = xy[:, 0] - self.left, self.top - xy[:, 1]
        return np.stack(_turned(x, y, self.width, self.height, self.turn), axis=1).astype(
            np.float32
        )

    def boxes(self, box: npt.NDArray[_Float]) -> Floats:
        """float[n, 4] of user space (two corners) -> float32[n, 4] as shown, x0 <= x1, y0 <= y1."""
        return _sorted_corners(self.points(box[:, :2]), self.points(box[:, 2:]))

    def turned_back(
        self, found: Characters, rules: Floats, turn: int
    ) -> tuple[Characters, Floats, "Frame"]:
        """All of a page, turned so that its usual text is upright."""
        width, height = (self.height, self.width) if turn % 2 else (self.width, self.height)
        back = Frame(0.0, 0.0, width, height, (4 - turn) % 4)

        def points(xy: Floats) -> Floats:
            turned = _turned(xy[:, 0], xy[:, 1], back.width, back.height, back.turn)
            return np.stack(turned, axis=1)

        def boxes(box: Floats) -> Floats:
            return _sorted_corners(points(box[:, :2]), points(box[:, 2:]))

        turned = Characters(
            found.code,
            boxes(found.box),
            points(found.origin),
            found.size,
            np.where(found.turn == SLANT, SLANT, (found.turn - turn) % 4).astype(np.uint8),
            found.flags,
            found.text_object,
        )
        return turned, boxes(rules), back


def _turned(
    x: npt.NDArray[_Float], y: npt.NDArray[_Float], width: float, height: float, turn: int
) -> tuple[npt.NDArray[_Float], npt.NDArray[_Float]]:
    """Turns points clockwise within a page that measures width x height afterwards."""
    if turn == 1:
        return width - y, x
    if turn == 2:
        return width - x, height - y
    if turn == 3:
        return y, height - x
    return x, y


def _sorted_corners(one: Floats, two: Floats) -> Floats:
    return np.concatenate((np.minimum(one, two), np.maximum(one, two)), axis=1)


def usual_turn(found: Characters) -> int:
    """Quarter turns, clockwise, of most characters."""
    seen = found.turn[(found.code > 32) & (found.flags & 1 == 0)]
    return int(np.bincount(seen, minlength=5)[:4].argmax()) if seen.size else 0


def read_characters(layer: pdfium.PdfTextPage, frame: Frame, drawn: Drawn) -> Characters:
    """All characters of a page, those under pictures marked."""
    code, box, origin, size, direction, flags, text_objects = _read_characters(
        handle_of(layer.raw), layer.count_chars()
    )
    if len(drawn.pictures):
        pictures = np.concatenate(
            (
                np.minimum(drawn.pictures[:, :2], drawn.pictures[:, 2:]),
                np.maximum(drawn.pictures[:, :2], drawn.pictures[:, 2:]),
            ),
            axis=1,
        )
        places = drawn.places_of(text_objects)
        _mark_covered(box, flags, places, pictures, drawn.picture_places)
    turn = np.where(direction == SLANT, SLANT, (direction + frame.turn) % 4)
    return Characters(
        code,
        frame.boxes(box),
        frame.points(origin),
        size,
        turn.astype(np.uint8),
        flags,
        text_objects,
    )


@kernel
def _mark_covered(
    box: Floats, flags: Bytes, places: Doubles, pictures: Floats, picture_places: Doubles
) -> None:
    """Sets flag 64 of characters whose middle lies under a picture that is drawn later."""
    for i in range(len(box)):
        x, y = (box[i, 0] + box[i, 2]) / 2, (box[i, 1] + box[i, 3]) / 2
        for k in range(len(pictures)):
            if picture_places[k] <= places[i]:
                continue
            is_inside = pictures[k, 0] <= x <= pictures[k, 2] and pictures[k, 1] <= y
            if is_inside and y <= pictures[k, 3]:
                flags[i] |= 64
                break


@kernel
def _read_characters(
    layer: int, num_chars: int
) -> tuple[Codes, Floats, Doubles, Floats, Bytes, Bytes, Ints]:
    """All characters in user space: code, box, origin, size, quarter turns clockwise, flags.

    PDFium gives units of UTF-16: two of them, in one place, are a character beyond U+FFFF.
    """
    code = np.zeros(num_chars, np.uint32)
    box = np.zeros((num_chars, 4), np.float32)
    origin = np.zeros((num_chars, 2), np.float64)
    size = np.zeros(num_chars, np.float32)
    turn = np.zeros(num_chars, np.uint8)
    flags = np.zeros(num_chars, np.uint8)
    matrix = np.zeros(6, np.float32)
    name = np.zeros(128, np.uint8)
    font_flags = np.zeros(1, np.int32)
    text_objects = np.zeros(num_chars, np.int64)
    last_object, style = 0, 0
    i = -1
    for unit in range(num_chars):
        c = _unicode_of(layer, unit)
        if i >= 0 and 0xDC00 <= c < 0xE000 and 0xD800 <= code[i] < 0xDC00:
            code[i] = 0x10000 + ((code[i] - 0xD800) << 10) + (c - 0xDC00)
            continue
        i += 1
        code[i] = c
        if _is_generated(layer, unit) == 1:
            flags[i] = 1
            continue
        text_object = _text_object_of(layer, unit)
        if text_object != last_object or unit == 0:
            last_object = text_object
            style = 0
            name[:] = 0
            font_flags[0] = 0
            _font_info_of(layer, unit, name.ctypes.data, np.uint64(127), font_flags.ctypes.data)
            style = _style(name, font_flags[0])
            if text_object != 0 and _render_mode_of(text_object) == _INVISIBLE_MODE:
                style |= 16
        flags[i] = style
        text_objects[i] = text_object
        if _is_unmapped(layer, unit) == 1:
            flags[i] |= 32
        _loose_box_of(layer, unit, box[i].ctypes.data)
        _origin_of(layer, unit, origin[i].ctypes.data, origin[i].ctypes.data + 8)
        matrix[:] = 0
        _matrix_of(layer, unit, matrix.ctypes.data)
        along = np.hypot(matrix[0], matrix[1])
        across = abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) / along if along > 0 else 1.0
        size[i] = _font_size_of(layer, unit) * across
        low, high = min(abs(matrix[0]), abs(matrix[1])), max(abs(matrix[0]), abs(matrix[1]))
        if low > _SLANTED * high:
            turn[i] = SLANT
        elif abs(matrix[1]) > abs(matrix[0]):
            turn[i] = 3 if matrix[1] > 0 else 1
        elif matrix[0] < 0:
            turn[i] = 2
    n = i + 1
    return code[:n], box[:n], origin[:n], size[:n], turn[:n], flags[:n], text_objects[:n]


@kernel
def _style(name: Bytes, font_flags: int) -> int:
    """2 bold, 4 italic, 8 fixed pitch, by the flags of a font and the words in its name."""
    style = 0
    if font_flags & _FORCE_BOLD:
        style |= 2
    if font_flags & _ITALIC:
        style |= 4
    if font_flags & _FIXED_PITCH:
        style |= 8
    for i in range(len(name) - 5):
        if name[i] == 0:
            break
        a, b, c, d = name[i] | 32, name[i + 1] | 32, name[i + 2] | 32, name[i + 3] | 32
        # bold, blac(k), heav(y), and cmbx: Computer Modern bold extended, of TeX.
        if a == 98 and b == 111 and c == 108 and d == 100:
            style |= 2
        elif a == 98 and b == 108 and c == 97 and d == 99:
            style |= 2
        elif a == 104 and b == 101 and c == 97 and d == 118:
            style |= 2
        elif a == 99 and b == 109 and c == 98 and d == 120:
            style |= 2
        # medi, but not medium: bold of Nimbus Roman and of URW's other Times.
        elif a == 109 and b == 101 and c == 100 and d == 105 and (name[i + 4] | 32) != 117:
            style |= 2
        # ital(ic), obli(que), mono, cour(ier)
        elif a == 105 and b == 116 and c == 97 and d == 108:
            style |= 4
        elif a == 111 and b == 98 and c == 108 and d == 105:
            style |= 4
        elif a == 109 and b == 111 and c == 110 and d == 111:
            style |= 8
        elif a == 99 and b == 111 and c == 117 and d == 114:
            style |= 8
    return style
