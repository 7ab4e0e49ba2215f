"""An OCR engine for tests and dry runs: it says what picture it was given, and reads nothing.

Asked for as `pipelines.extract.pdf.ocr_echo:EchoOcr`. Whoever replaces RapidOCR can see with it, in
milliseconds a page, which pages would go to the model and how large their pictures are.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING

from pipelines.extract.pdf.ocr import Reading

if TYPE_CHECKING:
    from pipelines.extract.pdf.opening import Image


class EchoOcr:
    """Answers with the size and the digest of a picture."""

    name = "echo/1"

    def read(self, image: "Image") -> Reading:
        """A line such as `picture 640 x 480 0123456789abcdef`: width, height, digest of pixels."""
        height, width, _ = image.shape
        digest = blake2b(image.tobytes(), digest_size=8).hexdigest()
        return Reading(text=f"picture {width} x {height} {digest}", confidence=1.0)
