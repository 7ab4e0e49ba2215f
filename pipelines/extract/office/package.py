"""Packages: the ZIP files that EPUB, OOXML (DOCX, PPTX), OpenDocument and XPS are.

What is unpacked is counted as it comes out, not believed from the directory, and ends at a limit: a
package of 42 KB can claim, and hold, petabytes. Names are matched as Windows does, without case,
where the exact one is absent: XPS asks for it (ECMA-388, 9.1.1), and EPUB files are often so.

XML is parsed without entities, so that none can be expanded a billion times or read from a file.
"""

import zipfile
import zlib
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, Final
from urllib.parse import unquote

from lxml import etree

_STEP: Final = 1 << 16
_IS_ENCRYPTED: Final = 0x1  # bit 0 of the general purpose flags (APPNOTE 4.4.4)
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)
MAX_UNPACKED_BYTES: Final = 256 << 20
"""Of one document, all its members together."""
MAX_DEPTH: Final = 200
"""Elements within each other; what nests deeper was made to break its reader."""


class OfficeRefused(Exception):
    """A document that cannot be read; `reason` is that of the reject."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Package:
    """An open package."""

    archive: zipfile.ZipFile
    max_bytes: int
    """Of all members that are read, unpacked."""
    _num_bytes: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, payload: bytes, max_bytes: int = MAX_UNPACKED_BYTES) -> "Package":
        """Opens a package.

        Raises:
            OfficeRefused: `broken_document`.
        """
        try:
            archive = zipfile.ZipFile(BytesIO(payload))
        except (*_BROKEN, ValueError) as error:
            raise OfficeRefused("broken_document", f"no ZIP file: {error}") from error
        return cls(archive, max_bytes, _names={name.lower(): name for name in archive.namelist()})

    def has(self, name: str) -> bool:
        """Whether there is a member of a name, in whatever case."""
        return name.lower() in self._names

    def read(self, name: str) -> bytes:
        """A member.

        Raises:
            OfficeRefused: `broken_document`, `encrypted` or `unpacked_too_large`.
        """
        actual = self._names.get(name.lower())
        if actual is None:
            raise OfficeRefused("broken_document", f"{name!r} is not in the package")
        try:
            info = self.archive.getinfo(actual)
            if info.flag_bits & _IS_ENCRYPTED:
                raise OfficeRefused("encrypted", f"{name!r} is encrypted with a password")
            with self.archive.open(info) as file:
                return self._all_of(file)
        except (*_BROKEN, RuntimeError) as error:
            raise OfficeRefused("broken_document", f"{name!r}: {error}") from error

    def xml(self, name: str) -> etree._Element:
        """A member as XML; broken XML is read as far as it goes.

        Raises:
            OfficeRefused: As `read`; `broken_document` where there is no XML.
        """
        data = self.read(name)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True)
        try:
            root = etree.fromstring(data, parser)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise OfficeRefused("broken_document", f"{name!r}: {error}") from error
        if root is None:
            raise OfficeRefused("broken_document", f"{name!r} holds no XML")
        return root

    def _all_of(self, file: IO[bytes]) -> bytes:
        pieces = []
        while piece := file.read(_STEP):
            self._num_bytes += len(piece)
            if self._num_bytes > self.max_bytes:
                message = f"more than {self.max_bytes} bytes unpacked, the limit of a document"
                raise OfficeRefused("unpacked_too_large", message)
            pieces.append(piece)
        return b"".join(pieces)


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace; empty for comments and the like."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def attribute(element: etree._Element, name: str) -> str | None:
    """An attribute by its local name, in whatever namespace: writers differ in their prefixes."""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2] == name:
            return str(value)
    return None


def resolved(base: str, target: str) -> str:
    """The name of a member that a part refers to.

    >>> resolved("ppt/slides/slide1.xml", "../media/a%20b.png")
    'ppt/media/a b.png'
    """
    target = unquote(target.partition("#")[0])
    if target.startswith("/"):
        return target.lstrip("/")
    pieces: list[str] = list(PurePosixPath(base).parent.parts)
    for piece in PurePosixPath(target).parts:
        if piece == "..":
            pieces = pieces[:-1]
        elif piece != ".":
            pieces.append(piece)
    return "/".join(pieces)


_FACTS: Final = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "created": "date",
    "creation-date": "date",
    "date": "date",
    "language": "language",
}
"""Element of Dublin Core, OOXML core properties or ODF -> our key."""
_MAX_FACT: Final = 1000


def facts_of(root: etree._Element) -> dict[str, str]:
    """Title, author, date and language that a document states, the first of each."""
    facts: dict[str, str] = {}
    for element in root.iter():
        key = _FACTS.get(local_name(element))
        value = " ".join("".join(element.itertext()).split()) if key else ""
        if key and value:
            facts.setdefault(key, value[:_MAX_FACT])
    return facts
