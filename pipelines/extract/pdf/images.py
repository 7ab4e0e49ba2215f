"""Pictures as files: PNG, JPEG, TIFF (each of its frames is a page) and WebP, decoded by Pillow.

A picture is a page without a text layer. It is made as large as OCR wants it and no larger: a JPEG
is shrunk while it is decoded, by the scales that its transform allows, so that 200 megapixels need
the memory of a few. What would need more memory than a child has is refused by the size in its
header, before anything is decoded, which is also what stops a decompression bomb; Pillow's own
limit, a warning at 89 megapixels, is lifted for that.

Transparency is laid on white, as paper is; the orientation that a camera noted (EXIF) is obeyed;
16 bits a channel are scaled down and not cut off.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image as pillow
from PIL import ImageOps, UnidentifiedImageError

from pipelines.extract.media import IMAGE_TYPES
from pipelines.extract.pdf.opening import Image, PdfRefused

# Decoded at 4 bytes a pixel and copied once, 250 megapixels need 2 GiB, half of a child's limit.
_MAX_DECODED_PIXELS: Final = 250e6
_LONGEST_PIXELS: Final = 2400
_MAX_PIXELS: Final = 4e6
_FORMATS: Final = ("PNG", "JPEG", "TIFF", "WEBP")
_BROKEN: Final = (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError)
"""What Pillow raises on damaged files, of whatever format."""


def count_frames(payload: bytes) -> int:
    """The number of pages of a picture file: the frames of a TIFF, one of any other.

    Raises:
        PdfRefused: `broken_image`, or `image_too_large` where no frame can be decoded.
    """
    with _open(payload) as image:
        try:
            if image.format != "TIFF":
                return 1
            return int(getattr(image, "n_frames", 1))
        except _BROKEN as error:
            raise _broken(error) from error


def render_frame(payload: bytes, number: int) -> Image:
    """A page of a picture file, as OCR wants it.

    Args:
        payload: The file.
        number: Of the frame, from 1.

    Returns:
        uint8[height, width, 3], blue first, at most 2,400 pixels long and 4 megapixels.

    Raises:
        PdfRefused: `broken_image` or `image_too_large`.
    """
    with _open(payload) as image:
        try:
            if number > 1:
                image.seek(number - 1)
            _check_size(image)
            return _pixels(_shrunk(image))
        except _BROKEN as error:
            raise _broken(error) from error


def each_frame(payload: bytes, num_frames: int) -> Iterator[Image | PdfRefused]:
    """The first pages of a picture file, each as `render_frame` gives it, or why it does not.

    Raises:
        PdfRefused: `broken_image`: nothing can be read of the file.
    """
    with _open(payload) as image:
        for number in range(num_frames):
            try:
                image.seek(number)
                _check_size(image)
                yield _pixels(_shrunk(image))
            except PdfRefused as refused:
                yield refused
            except _BROKEN as error:
                yield _broken(error)


@contextmanager
def _open(payload: bytes) -> Iterator[pillow.Image]:
    limit = pillow.MAX_IMAGE_PIXELS
    pillow.MAX_IMAGE_PIXELS = None  # ours is checked in its place
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags and EXIF; they cost nothing
            try:
                pillow.init()  # else only its commonest formats are known by name
                image = pillow.open(BytesIO(payload), formats=_FORMATS)
            except UnidentifiedImageError as error:
                names = ", ".join(name.removeprefix("image/") for name in IMAGE_TYPES)
                raise PdfRefused("broken_image", f"the bytes are none of {names}") from error
            except _BROKEN as error:
                raise _broken(error) from error
            with image:
                yield image
    finally:
        pillow.MAX_IMAGE_PIXELS = limit


def _check_size(image: pillow.Image) -> None:
    """Raises PdfRefused where a picture is too large to be decoded."""
    width, height = image.size
    if image.format in ("JPEG", "MPO"):
        image.draft("RGB" if image.mode != "L" else "L", _wanted(width, height))
    if math.prod(image.size) > _MAX_DECODED_PIXELS:
        message = (
            f"the picture measures {width} x {height} pixels; "
            f"{_MAX_DECODED_PIXELS / 1e6:.0f} megapixels can be decoded"
        )
        raise PdfRefused("image_too_large", message)


def _wanted(width: int, height: int) -> tuple[int, int]:
    """The size at which a picture is read."""
    scale = min(
        1.0, _LONGEST_PIXELS / max(width, height), math.sqrt(_MAX_PIXELS / (width * height))
    )
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(image: pillow.Image) -> pillow.Image:
    """The picture upright, at the wanted size, in grey or RGB."""
    image.load()
    plain = _plain(ImageOps.exif_transpose(image))
    size = _wanted(*plain.size)
    return plain if plain.size == size else plain.resize(size, pillow.Resampling.BOX)


def _plain(image: pillow.Image) -> pillow.Image:
    """The picture as 8 bits of grey or RGB, on white."""
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        return _of_deep(image)
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        paper = pillow.new("RGB", coloured.size, "white")
        paper.paste(coloured, mask=coloured.getchannel("A"))
        return paper
    return image.convert("RGB")


def _of_deep(image: pillow.Image) -> pillow.Image:
    """Grey of 16 or 32 bits a pixel, from its darkest to its brightest value."""
    values = np.asarray(image, np.float32)
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        raise ValueError("the picture holds values that are no numbers")
    scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    if high <= low:
        scaled += 255.0  # an even picture is an empty page
    return pillow.fromarray(scaled.astype(np.uint8))


def _pixels(image: pillow.Image) -> Image:
    grey_or_rgb = np.asarray(image, np.uint8)
    if grey_or_rgb.ndim == 2:
        return np.ascontiguousarray(np.repeat(grey_or_rgb[:, :, None], 3, axis=2))
    return np.ascontiguousarray(grey_or_rgb[:, :, ::-1])


def _broken(error: BaseException) -> PdfRefused:
    return PdfRefused("broken_image", f"{type(error).__name__}: {error}"[:300])
