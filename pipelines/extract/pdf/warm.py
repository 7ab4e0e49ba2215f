"""Compiles the kernels of the text layer and its layout once, so that no later run waits for it.

`python -m pipelines.extract.pdf.warm`; about 20 s on one core, loading from the cache 0.3 s.
"""

from typing import Final

from pipelines.extract.pdf.layers import read_layers
from pipelines.extract.pdf.opening import open_pdf

# The least that a PDF needs to show two lines of text on a picture; readers find the objects
# without a table.
_PDF: Final = b"""%PDF-1.4
1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj
2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj
3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R
/Resources <</Font <</F <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>> >> >> >> endobj
4 0 obj <</Length 162>> stream
q 40 0 0 40 72 680 cm BI /W 1 /H 1 /BPC 8 /CS /G ID \x80 EI Q
BT /F 12 Tf 72 700 Td (A mill in the village) Tj 0 -14 Td (and two horses.) Tj ET
72 600 m 300 600 l S
endstream endobj
trailer <</Root 1 0 R>>
%%EOF
"""


def warm() -> list[str]:
    """Reads a page of two lines, on a picture; its text."""
    with open_pdf(_PDF) as pdf:
        return [layer.text for layer in read_layers(pdf, 1, "pdfium")]


if __name__ == "__main__":
    warm()
