"""The language that a page names for a block of code, for the first line of its fence.

Programs that colour code leave the name in a class or an attribute of the block, of the `<code>` in
it or of an element around it: `language-python` (HTML standard's own advice, Prism, highlight.js),
`lang-py` (Prettify), `highlight-python3` (Sphinx), `highlight-source-python` (GitHub), `brush: py`
(SyntaxHighlighter), `mw-highlight-lang-python` (MediaWiki), `lang:python` (Crayon), `hl-ipython3`
(nbconvert), or as a bare name (`hljs python`, `sourceCode haskell`, DokuWiki's `code bash`). The
name is given as the page has it, in lower case; names that say nothing (`none`, `text`) are left
out.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.rendering_constants import (
    NO,
    YES,
    name_bytes,
)
from pipelines.extract.pages.rendering_page import Page, holds_at
from pipelines.extract.pages.tags import FNV_OFFSET, FNV_PRIME, TAG, name_hash

_BARE: Final = (
    "abap actionscript ada apache applescript arduino asm assembly awk bash batch bibtex c c# "
    "c++ clojure cmake cobol coffeescript console cpp crystal csharp css csv cuda cypher d dart "
    "delphi diff dockerfile elixir elm erlang f# fish fortran fsharp gcode gherkin glsl go "
    "golang graphql groovy handlebars haskell hcl html http ini java javascript jinja jinja2 "
    "jscript js json json5 jsonc jsx julia kotlin latex less lisp llvm lua makefile markdown "
    "mathematica matlab mermaid mysql nasm nginx nim nix objc objective-c objectivec ocaml "
    "octave pascal perl pgsql php plsql postgresql powershell prolog properties protobuf ps1 "
    "puppet py python python3 qml r racket rb regex rst ruby rust sass scala scheme scss sh "
    "shell smalltalk sol solidity sparql sql svg swift systemverilog tcl terraform tex toml ts "
    "tsql tsx typescript vala vb vbnet verilog vhdl vim vue wasm x86asm xml xquery yaml yml zig "
    "zsh"
)
_EMPTY: Final = (
    "none nohighlight no-highlight plaintext plain text txt default auto wrapper container block "
    "box inline toolbar source output notranslate unknown undefined code raw highlighter highlight "
    "line lines switcher selector select picker list name label en de fr es zh ja ko pt ru it"
)


def _hashes(names: str) -> NDArray[np.int64]:
    """The hashes of names, sorted: int64[num_names]."""
    return np.array(sorted(name_hash(name.encode()) for name in names.split()), np.int64)


_BARE_HASHES, _EMPTY_HASHES = _hashes(_BARE), _hashes(_EMPTY)


_CLASS: Final = name_bytes("class")
_DATA_LANG: Final = name_bytes("data-lang")
_DATA_LANGUAGE: Final = name_bytes("data-language")
_ENLIGHTER: Final = name_bytes("data-enlighter-language")
_GIST: Final = name_bytes("data-tagsearch-lang")
_CONFLUENCE: Final = name_bytes("data-syntaxhighlighter-params")
_LANGUAGE_: Final = name_bytes("language-")
_LANG_: Final = name_bytes("lang-")
_LANG_COLON: Final = name_bytes("lang:")
_BRUSH: Final = name_bytes("brush:")
_HIGHLIGHT_SOURCE_: Final = name_bytes("highlight-source-")
_HIGHLIGHT_: Final = name_bytes("highlight-")
_HL_: Final = name_bytes("hl-")
_HIGHLIGHT: Final = name_bytes("highlight")
_MEDIAWIKI: Final = name_bytes("mw-highlight-lang-")
_SRC_: Final = name_bytes("src-")
_PRE: Final = TAG["pre"]
_CODE: Final = TAG["code"]
_MAX_NAME: Final = 24
_MAX_ABOVE: Final = 4
_MAX_WITHIN: Final = 6


@lean_kernel
def _is_among(data: NDArray[np.uint8], start: int, stop: int, names: NDArray[np.int64]) -> bool:
    """Whether a range of bytes is one of the names."""
    value = np.int64(FNV_OFFSET)
    for i in range(start, stop):
        c = np.int64(data[i])
        if 65 <= c <= 90:
            c += 32
        value = (value ^ c) * FNV_PRIME
    place = np.searchsorted(names, value)
    return bool(place < names.size and names[place] == value)


@lean_kernel
def _name_at(data: NDArray[np.uint8], start: int, stop: int) -> tuple[int, int]:
    """The name of a language that begins here, as a range; (0, 0) where it says nothing."""
    while start < stop and data[start] <= 32:
        start += 1
    end = start
    while end < stop and end - start <= _MAX_NAME:
        c = data[end]
        is_letter = 48 <= c <= 57 or 97 <= (c | 32) <= 122
        # + - . _ #
        if not (is_letter or c == 43 or c == 45 or c == 46 or c == 95 or c == 35):
            break
        end += 1
    if end == start or end - start > _MAX_NAME or _is_among(data, start, end, _EMPTY_HASHES):
        return 0, 0
    return start, end


@lean_kernel
def _prefix_length(data: NDArray[np.uint8], start: int, stop: int, is_code: bool) -> int:
    """The bytes before the name of a language in a class, or 0 where it names none."""
    size = stop - start
    for prefix in (
        _LANGUAGE_,
        _MEDIAWIKI,
        _HIGHLIGHT_SOURCE_,
        _HIGHLIGHT_,
        _BRUSH,
        _LANG_COLON,
        _HL_,
    ):
        if size >= prefix.size and holds_at(data, start, prefix):
            return prefix.size
    if is_code:
        for prefix in (_LANG_, _SRC_):
            if size > prefix.size and holds_at(data, start, prefix):
                return prefix.size
    return 0


@lean_kernel
def _language_in(data: NDArray[np.uint8], start: int, stop: int, is_code: bool) -> tuple[int, int]:
    """The language that a list of classes names, as a range; (0, 0) where it names none."""
    at = start
    bare, bare_end = 0, 0
    while at < stop:
        while at < stop and data[at] <= 32:
            at += 1
        end = at
        while end < stop and data[end] > 32:
            end += 1
        if end == at:
            break
        prefix = _prefix_length(data, at, end, is_code)
        if prefix > 0:
            first, last = _name_at(data, at + prefix, stop)
            if last > first:
                return first, last
        elif bare_end == 0 and _is_among(data, at, end, _BARE_HASHES):
            bare, bare_end = at, end
        elif end - at == _HIGHLIGHT.size and holds_at(data, at, _HIGHLIGHT):
            is_code = True
        at = end
    return (bare, bare_end) if is_code else (0, 0)


@lean_kernel
def _language_of(page: Page, node: int, is_code: bool) -> tuple[int, int]:
    """The language that one element names."""
    data, start, stop = page.data, page.start[node], page.stop[node]
    for name in (_DATA_LANG, _DATA_LANGUAGE, _ENLIGHTER, _GIST):
        first, last = find_attribute(data, start, stop, name)
        if last > first:
            first, last = _name_at(data, first, last)
            if last > first:
                return first, last
    for name in (_CLASS, _CONFLUENCE):
        first, last = find_attribute(data, start, stop, name)
        if last > first:
            first, last = _language_in(data, first, last, is_code)
            if last > first:
                return first, last
    return 0, 0


@lean_kernel
def code_language(page: Page, node: int) -> tuple[int, int]:
    """The name of the language of a block of code.

    Args:
        page: The page.
        node: The root of the block.

    Returns:
        Its range in `page.data`; (0, 0) where the page names none.
    """
    first, last = _language_of(page, node, YES)
    if last > first:
        return first, last
    num, i = 0, node + 1
    while i < page.end[node] and num < _MAX_WITHIN:
        if page.tag[i] == _CODE or page.tag[i] == _PRE:
            first, last = _language_of(page, i, YES)
            if last > first:
                return first, last
            num += 1
        i += 1
    i = page.parent[node]
    for _ in range(_MAX_ABOVE):
        if i <= 0:
            break
        first, last = _language_of(page, i, NO)
        if last > first:
            return first, last
        i = page.parent[i]
    return 0, 0
