"""Pictures of pages as a vision-language model gets them: PNG, shrunk, never blown up, and turned.

The bytes name a request in the journal, so they must not depend on the process that drew them. Grey
pages are sent in grey, a third of the bytes. Compression is the lightest: at 16 pages/s a machine
would spend more on small files than the wire to a model at hand is worth.
"""

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image as pillow

from pipelines.extract.pdf.opening import Image

# Models of the Qwen VL family work in squares of 28 pixels and refuse what is flatter than 200:1;
# at this height a strip 1,288 long is 46:1.
_SHORTEST_SIDE: Final = 28
_LIGHTEST: Final = 1
_TURNS: Final = {
    90: pillow.Transpose.ROTATE_270,  # Pillow counts counterclockwise
    180: pillow.Transpose.ROTATE_180,
    270: pillow.Transpose.ROTATE_90,
}


def png_of(image: Image, longest_side: int) -> bytes:
    """A PNG of a page.

    Args:
        image: uint8[height, width, 3], blue first.
        longest_side: Most pixels of the longer side; larger pictures are shrunk to it. A side of
            less than 28 pixels gets a margin in the colour of the paper.
    """
    is_grey = bool(
        (image[:, :, 0] == image[:, :, 1]).all() and (image[:, :, 1] == image[:, :, 2]).all()
    )
    picture = pillow.fromarray(image[:, :, 0] if is_grey else image[:, :, ::-1])
    scale = longest_side / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), pillow.Resampling.LANCZOS)
    return _saved(_padded(picture))


def turned(png: bytes, degrees: int) -> bytes:
    """A PNG turned clockwise by 90, 180 or 270 degrees."""
    with pillow.open(BytesIO(png)) as picture:
        return _saved(picture.transpose(_TURNS[degrees]))


def _padded(picture: pillow.Image) -> pillow.Image:
    width, height = (max(side, _SHORTEST_SIDE) for side in picture.size)
    if picture.size == (width, height):
        return picture
    pixels = np.asarray(picture)
    paper = np.median(pixels, axis=(0, 1)).astype(int).reshape(-1).tolist()
    sheet = pillow.new(picture.mode, (width, height), paper[0] if len(paper) == 1 else tuple(paper))
    sheet.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    return sheet


def _saved(picture: pillow.Image) -> bytes:
    target = BytesIO()
    picture.save(target, "PNG", compress_level=_LIGHTEST)
    return target.getvalue()
