"""Compiles the kernels of extraction once, so that no later run waits for the compiler.

`python -m pipelines.extract.warm`. A page with a table, code, a formula and links passes every
kernel of pages; `pdf.warm` does the same for text layers. On one core it takes about a minute.
"""

from typing import Final

from pipelines.config import ExtractConfig
from pipelines.extract.markup import extract_records
from pipelines.extract.pages.rendering import render_page
from pipelines.extract.pdf.warm import warm as warm_pdf
from pipelines.extract.rows import Record, to_batches
from pipelines.workspace.schema import ASKED

_PAGE: Final = """<!DOCTYPE html><html lang="en"><head><title>Snow</title></head><body><nav><a
href="/">home</a></nav><main><article><h1>Snow &amp; ice</h1><p>Snow lay upon the hills all day and
it was deep, <a href="https://example.org/a">as they say</a> in the mountains.</p><pre><code
class="language-python">print(1)</code></pre><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2
</td></tr></table><math><mfrac><mi>x</mi><mn>2</mn></mfrac></math><ul><li>one</li></ul></article>
</main></body></html>"""


def warm() -> None:
    """Extracts a small page by each way of reading it, and what warms the text layers of PDF."""
    for engine in ("auto", "fast"):
        settings = ExtractConfig.model_validate({"html_engine": engine})
        record = Record(
            file="warm.html",
            offset=0,
            length=len(_PAGE),
            outcome=ASKED,
            uri="https://example.org/warm.html",
            media_type="text/html",
            payload=_PAGE.encode(),
        )
        for batch in to_batches([record]):
            extract_records(batch, settings=settings)
    render_page(_PAGE.encode())
    warm_pdf()


if __name__ == "__main__":
    warm()
