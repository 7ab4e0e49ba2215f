"""All texts of some input files, one after the other, for tools that train on plain text."""

from collections.abc import Iterator

import pyarrow.compute as pc

from pipelines.config import ExtractConfig, SourceConfig
from pipelines.extract.inputs import read_settings
from pipelines.extract.job import read_span
from pipelines.extract.markup import extract_records
from pipelines.extract.sources import list_source
from pipelines.workspace.inventory import Span
from pipelines.workspace.schema import ASKED


def read_texts(path: str) -> Iterator[str]:
    """Texts of every document that can be read from a file, folder or glob.

    Raises:
        SourceError: The path matches nothing.
    """
    source, settings = SourceConfig(name="texts", path=path), ExtractConfig()
    for listed in list_source(source, part_bytes=1 << 62):
        span = Span(
            part=0,
            url=listed.url,
            file=listed.file,
            format=listed.format,
            start=0,
            end=None,
            bytes=listed.bytes,
            stamp=listed.stamp,
            digest="",
        )
        for batch in read_span(span, read_settings(source, settings)):
            asked = batch.filter(pc.equal(batch.column("outcome"), ASKED))
            extracted = extract_records(asked, settings=settings)
            yield from extracted.column("text").drop_null().to_pylist()
