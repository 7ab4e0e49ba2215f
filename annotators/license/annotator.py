"""The `license` labels: under which open licence a page says that it stands, and where it says so.

Five places are asked in the order of how surely they speak of the whole page, and the first that
names a licence decides: `given` (what the record of the source says), `link` (rel=license), `meta`
(Dublin Core and `license` fields), `json-ld` (schema.org `license`), `text` (a sentence at the
end). A label is a statement found on a page, no legal advice: pages claim licences for what is not
theirs. Null says that none was found, not that there is none.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc

from annotators.license.names import of_address, of_name
from annotators.license.sentences import TAIL_BYTES, licence_said
from annotators.text.utf8 import utf8_texts

FIELDS: Final = (("link", "license_link"), ("meta", "license_meta"), ("json-ld", "license_jsonld"))
"""Signal and the field of `meta` where extraction puts what the page says there."""


class License:
    """Names the licence of each page, or null (an `Annotator`)."""

    name: ClassVar[str] = "license"
    version: ClassVar[str] = "2"
    inputs: ClassVar[tuple[str, ...]] = ("license", "meta")
    columns: ClassVar[pa.Schema] = pa.schema(
        [("page_license", pa.string()), ("license_signal", pa.string())]
    )

    def model_files(self) -> list[Path]:
        """Gives none: the rules are code, and `version` stands for them."""
        return []

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, "pa.Array[Any]"]
    ) -> pa.RecordBatch:
        """Annotates texts.

        Args:
            texts: large_string, no nulls.
            labels: `license`, what the source's record or the page's link says; `meta`,
                map<string, string> with the fields of `FIELDS`. Either may be absent or null.

        Returns:
            SPDX identifier and where it was found, both null where none was.

        Raises:
            ValueError: A text is null, or `texts` is of another type.
        """
        data, offsets = utf8_texts(texts)
        said = _said(len(texts), labels)
        names: list[str | None] = []
        signals: list[str | None] = []
        for row in range(len(texts)):
            name, signal = None, None
            for place, values in said:
                value = values[row]
                name = (of_address(value) or of_name(value)) if value else None
                if name is not None:
                    signal = place
                    break
            if name is None:
                end = int(offsets[row + 1])
                tail = data[max(int(offsets[row]), end - TAIL_BYTES) : end]
                name, signal = licence_said(tail.tobytes()), "text"
            names.append(name)
            signals.append(signal if name is not None else None)
        return pa.record_batch(
            [pa.array(names, pa.string()), pa.array(signals, pa.string())], schema=self.columns
        )


def _said(
    num_texts: int, labels: Mapping[str, "pa.Array[Any]"]
) -> list[tuple[str, list[str | None]]]:
    """What each place but the text says, in the order in which they are asked."""
    meta = labels.get("meta")
    of_field: dict[str, list[str | None]] = {
        signal: [None] * num_texts
        if meta is None or not pa.types.is_map(meta.type)
        else pc.map_lookup(meta, pa.scalar(name, meta.type.key_type), "last").to_pylist()
        for signal, name in FIELDS
    }
    given = labels.get("license")
    values = [None] * num_texts if given is None else given.to_pylist()
    # Extraction copies the link into the column; then it is no word of the source's record.
    own = [
        value if value != link else None
        for value, link in zip(values, of_field["link"], strict=True)
    ]
    return [("given", own), *of_field.items()]
