"""Which kind of file bytes are, by looking at them.

Only what the extract stage must tell apart: markup, text, and binary formats that servers send
under the name of a page. The patterns of markup are those of the WHATWG MIME Sniffing standard
(section 7.1), which browsers use; binary is told by magic numbers and by its control characters.
"""

import re
from typing import Final

HTML_TYPES: Final = ("text/html", "application/xhtml+xml")
PDF_TYPE: Final = "application/pdf"
IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/tiff", "image/webp")
PAGED_TYPES: Final = (PDF_TYPE, *IMAGE_TYPES)
"""What is read page by page, by text layers and OCR."""
OLE_TYPE: Final = "application/x-ole-storage"
OFFICE_TYPES: Final = (
    "application/epub+zip",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.ms-xpsdocument",
    "application/oxps",
)
"""Packages with a text; see `office`."""
ASKED_TYPES: Final = (*HTML_TYPES, "text/plain", PDF_TYPE, *OFFICE_TYPES)
"""Media types that the stage extracts."""

_SNIFF_BYTES: Final = 2048
# Readers accept a header within the first 1,024 bytes (ISO 32000-1, Annex H.3, note 13). Behind
# junk it counts only where an object follows, for pages and texts about PDF quote it too.
_PDF_HEADER: Final = re.compile(rb"%PDF-\d\.\d")
_PDF_HEADER_BYTES: Final = 1024
_PDF_OBJECT: Final = re.compile(rb"\b\d+[ \r\n]+\d+[ \r\n]+obj\b")
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_MARKUP: Final = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>\s*|<!--.*?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title|script|iframe|h1|div|font|table|a|style|b|br|p"
    rb"|meta|link|article|main|section|span)[\s>/]",
    re.IGNORECASE | re.DOTALL,
)
_ZIP: Final = b"PK\x03\x04"
_MAGICS: Final = (
    (b"%PDF-", PDF_TYPE),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (_ZIP, "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE_TYPE),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"\x7fELF", "application/x-executable"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
)
_PACKAGE_HEAD_BYTES: Final = 64 << 10
_TELLING_NAMES: Final = {
    b"META-INF/container.xml": OFFICE_TYPES[0],
    b"word/document.xml": OFFICE_TYPES[2],
    b"word/_rels/": OFFICE_TYPES[2],
    b"ppt/presentation.xml": OFFICE_TYPES[3],
    b"ppt/slides/": OFFICE_TYPES[3],
    b".fdseq": OFFICE_TYPES[4],
}
# Bytes that no text has in any charset but UTF-16 and UTF-32: C0 controls without tab, LF, VT, FF,
# CR, SO, SI and ESC (ISO-2022) and 0x1A (the end of text of DOS).
_CONTROLS: Final = bytes(i for i in range(32) if i not in (9, 10, 11, 12, 13, 14, 15, 26, 27))
_MAX_CONTROL_SHARE: Final = 0.02  # real pages have a stray NUL; random bytes have 9 %


def sniff_media_type(data: bytes) -> str | None:
    """The media type that bytes show: of a known binary format, text/html or text/plain.

    Returns:
        None where the bytes are binary of an unknown kind or empty.
    """
    for magic, media_type in _MAGICS:
        if data.startswith(magic):
            return (_package_type(data) or media_type) if magic == _ZIP else media_type
    if looks_like_pdf(data):
        return PDF_TYPE
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if not data or is_binary(data):
        return None
    return "text/html" if looks_like_html(data) else "text/plain"


def _package_type(data: bytes) -> str | None:
    """The media type of a ZIP file whose first names tell it, or None.

    EPUB and OpenDocument store their media type as the first member (EPUB 3.3, 4.2.6.3; ODF 1.3
    part 2, 3.3); the others have telling names of parts, most often near the beginning.
    """
    head = data[:_PACKAGE_HEAD_BYTES]
    if head[30:38] == b"mimetype":
        declared = head[38:150]
        for media_type in OFFICE_TYPES:
            if declared.startswith(media_type.encode()):
                rest = declared[len(media_type) :]
                return media_type if rest.startswith((b"PK", b"\r", b"\n")) else None
        return None
    return next((kind for name, kind in _TELLING_NAMES.items() if name in head), None)


def looks_like_pdf(data: bytes) -> bool:
    """Whether the bytes begin like a PDF, perhaps behind up to 1,024 bytes of junk."""
    if data.startswith(b"%PDF-"):
        return True
    header = _PDF_HEADER.search(data, 0, _PDF_HEADER_BYTES)
    if header is None or looks_like_html(data):
        return False
    return _PDF_OBJECT.search(data, header.end(), header.end() + _SNIFF_BYTES) is not None


def looks_like_html(data: bytes) -> bool:
    """Whether the bytes begin like an HTML page, in an 8-bit charset or in UTF-16."""
    head = data[:_SNIFF_BYTES]
    for bom in _BOMS:
        head = head.removeprefix(bom)
    return _MARKUP.match(head.replace(b"\x00", b"")) is not None


def is_binary(data: bytes) -> bool:
    """Whether bytes are no text in any charset.

    UTF-16 and UTF-32 are full of NUL, so they are told by their byte order mark or by NUL being
    nearly all on one side.
    """
    if any(data.startswith(magic) for magic, _ in _MAGICS) or looks_like_pdf(data):
        return True
    head = data[: _SNIFF_BYTES * 4]
    if head.startswith(_BOMS) or utf16_of_nuls(head):
        return False
    num_controls = len(head) - len(head.translate(None, _CONTROLS))
    return num_controls > max(1, _MAX_CONTROL_SHARE * len(head))


def utf16_of_nuls(data: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` where every second byte is nearly always NUL, else None."""
    head = data[: _SNIFF_BYTES * 4]
    half = len(head) // 2
    if half < 2:
        return None
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * half and odd < 0.05 * half else None
