"""What the echo server answers to pictures of pages: rehearsals of reading without a model.

It knows the prompt of pages by its system message, and tells of a picture what can be told without
reading: its size and a digest of its pixels, as a heading, a formula and a table, below a header as
asked for. So a run over real files shows which pages would be asked for, in which size, and that
each picture ends in its document. A square of pure colour in a corner asks for more:

    red     marks the corner that is the upper left one of the upright page: where it stands in
            another, the answer asks for the turn, once the page is turned it reads it
    green   the model loops below the temperature 0.3
    blue    the model refuses
    yellow  the model says that nothing is written there

"""

from hashlib import blake2b
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image as pillow

from pipelines.extract.pdf.vl_answer import SYSTEM
from pipelines.models.echo_rules import EchoAnswer, EchoRequest

_COLOURS: Final = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
}
_NEAR: Final = 60
_FEWEST: Final = 64  # pixels of a mark
_WARM: Final = 0.3
# (in the lower half, in the right half) -> degrees clockwise that bring the mark to the upper left.
_TURNS: Final = {(False, False): 0, (True, False): 90, (True, True): 180, (False, True): 270}

Pixels = npt.NDArray[np.uint8]
"""uint8[height, width, 3], red first."""


def answer(asked: EchoRequest) -> EchoAnswer | None:
    """The text of a page, as far as it can be told without reading."""
    if asked.system != SYSTEM or not asked.images:
        return None
    with pillow.open(BytesIO(asked.images[-1])) as picture:
        pixels = np.asarray(picture.convert("RGB"), np.uint8)
    colour, turn = _mark(pixels)
    if colour == "blue":
        return EchoAnswer("I'm sorry, but I can't help with this picture.")
    if colour == "yellow" or _is_even(pixels):
        return EchoAnswer(_header("null", 0))
    if colour == "green" and asked.temperature < _WARM:
        return EchoAnswer(f"{_header('en', 0)}\n\n" + "The wheel turns and turns.\n" * 20)
    return EchoAnswer(f"{_header('en', turn)}\n\n{page_text(pixels)}")


def page_text(pixels: Pixels) -> str:
    """What is told of a picture; its digest is that of the pixels in RGB."""
    height, width, _ = pixels.shape
    digest = blake2b(pixels.tobytes(), digest_size=8).hexdigest()
    return (
        f"# Picture {digest}\n\n"
        f"Picture {digest} has $w \\cdot h = {width * height}$ pixels.\n\n"
        "<table><tr><th>side</th><th>pixels</th></tr>"
        f"<tr><td>width</td><td>{width}</td></tr><tr><td>height</td><td>{height}</td></tr></table>"
    )


def _header(language: str, turn: int) -> str:
    fields: dict[str, Any] = {
        "primary_language": language,
        "is_rotation_valid": str(turn == 0).lower(),
        "rotation_correction": turn,
        "is_table": "false",
        "is_diagram": "false",
    }
    lines = [f"{key}: {value}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _mark(pixels: Pixels) -> tuple[str | None, int]:
    """(colour of the mark, None without one; the turn that a red one asks for)."""
    for name, colour in _COLOURS.items():
        far = np.abs(pixels.astype(np.int16) - np.array(colour, np.int16)).max(axis=2)
        rows, columns = np.nonzero(far < _NEAR)
        if rows.size >= _FEWEST:
            height, width, _ = pixels.shape
            corner = (bool(rows.mean() > height / 2), bool(columns.mean() > width / 2))
            return name, _TURNS[corner] if name == "red" else 0
    return None, 0


def _is_even(pixels: Pixels) -> bool:
    return bool((pixels == pixels[0, 0]).all())
