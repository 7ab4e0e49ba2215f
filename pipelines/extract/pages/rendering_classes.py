"""What the class names of well-known generators say of an element, as bits.

Code, formulas and their trimmings have no elements of their own in HTML; the names that pages give
them come from a few dozen programs, most of which are listed here by what they mean for a reader.
A name is looked up by its hash (FNV-1a, 64 bits, ASCII letters in lower case), once per element
that is rendered. Names that other pages use in another sense (`line`, `number`, `math`) carry a bit
that counts only where the surroundings agree; `code_blocks` and `rendering_walk` say which.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from annotators.text.kernels import inlined_lean_kernel, lean_kernel
from pipelines.extract.pages.attributes import find_attribute
from pipelines.extract.pages.tags import FNV_OFFSET, FNV_PRIME, name_hash

# Never part of the text: permalinks of headings, edit links, buttons that copy.
NOISE: Final = 1
# Numbers of lines beside code.
GUTTER: Final = 2
# The root of a block of code that is no <pre>.
CODE: Final = 4
# One line of code, in code.
CODE_LINE: Final = 8
# A formula drawn by a program, with its source somewhere inside or beside it.
FORMULA: Final = 16
# Text that is the source of a formula.
TEX: Final = 32
# The formula stands in a line of its own.
DISPLAY: Final = 64
# What a program shows before it has drawn a formula, and doubles.
PREVIEW: Final = 128
# Verse: line ends count, but it is no code.
VERSE: Final = 256
# Equations that are laid out as a table.
EQUATION: Final = 512
# A table of data, whatever it looks like.
DATA: Final = 1024
# A table or a definition list that only lays out.
LAYOUT: Final = 2048
# Text under this name is LaTeX even where it has no command: a lone `x`.
SURE_TEX: Final = 4096

_NAMES: Final = {
    # Sphinx and MkDocs, Docusaurus, GitHub and Jupyter, AnchorJS, MediaWiki, Javadoc and rustdoc.
    NOISE: "headerlink hash-link anchor-link anchorjs-link heading-anchor heading-link "
    "header-anchor mw-editsection copybtn copy-btn btn-copy copy-button copybutton "
    "copy-code-button copy-code-btn code-copy code-copy-button clipboard-copy btn-clipboard "
    "zeroclipboard-container js-clipboard-copy copy-to-clipboard-button copy-to-clipboard "
    "bd-clipboard code-header code-block-header codeblock-header code-toolbar-header "
    "crayon-toolbar crayon-plain-wrap crayon-info code-block-title-bar enlighter-toolbar "
    "hljs-button md-clipboard lang-label code-lang-label expressive-code-copy hide-preview "
    "hljs-copy-button pre-button code-copy-btn copy-icon buttongroup codeblock-copy",
    # Pygments, Rouge, SyntaxHighlighter, Crayon, highlightjs-line-numbers, GitHub, Chroma, Prism,
    # React Syntax Highlighter, CodeMirror 5 and 6, Ace, Monaco, Hexo, VuePress.
    GUTTER: "linenos linenodiv lineno linenumber linenumbers line-numbers line-number "
    "line-numbers-rows line-numbers-wrapper lnos gutter gl rouge-gutter crayon-nums crayon-num "
    "crayon-nums-content hljs-ln-numbers hljs-ln-n blob-num js-line-number toolbar lnt ln "
    "react-syntax-highlighter-line-number react-code-line-number react-line-number "
    "codemirror-linenumber codemirror-gutter-wrapper codemirror-gutters cm-gutters ace_gutter "
    "ace_gutter-cell margin-view-overlays linenr linenumber-gutter line-no lineno-gutter "
    "diff-line-num enlighter-linenumbers codelineno code-line-number code-line-numbers rowno "
    "pre-numbering hljs-line-numbers line_number line_numbers line-num linenums-gutter",
    CODE: "highlighttable codehilitetable rouge-table lntable hljs-ln syntaxhighlighter "
    "crayon-syntax crayon-table enlighter enlighter-default codemirror codemirror-code "
    "ace_editor ace_text-layer view-lines blob-wrapper js-file-line-container cm-content "
    "cm-editor react-code-lines fragment monaco-editor w3-code",
    CODE_LINE: "line code-line token-line ec-line codemirror-line cm-line ace_line view-line "
    "crayon-line code-block-line codeline react-code-text react-file-line blob-code",
    FORMULA: "katex mathjax mathjax_svg mathjax_chtml mathjax_display mathjax_svg_display "
    "mjx-chtml mwe-math-element katex-display katex-error ztext-math katex--inline katex--display "
    "mwe-math-fallback-image-inline mwe-math-fallback-image-display mwe-math-mathml-a11y "
    "ltx_math latex-rendered notion-equation",
    TEX: "math math-tex math-inline math-display tex latex arithmatex math-container "
    "js-render-math js-inline-math js-display-math mathjax_process nolink latex-inline "
    "latex-display formula inline-formula display-formula mathp tex2jax_process_only math-block "
    "inline-math block-math notion-equation-source",
    SURE_TEX: "math-tex math-inline math-display arithmatex math-container js-render-math "
    "js-inline-math js-display-math math",
    DISPLAY: "latex-rendered katex-display mathjax_display mathjax_svg_display mjxc-display "
    "math-display katex--display js-display-math display-formula display latex-display "
    "math-block block-math displaymath mwe-math-element-block mwe-math-fallback-image-display",
    PREVIEW: "mathjax_preview mjx_assistive_mathml katex-html mathjax_hidden",
    VERSE: "wp-block-verse poem verse poetry",
    EQUATION: "ltx_equation ltx_eqn_table ltx_equationgroup ltx_eqn_align ltx_eqn_gather",
    DATA: "wikitable dataframe infobox docutils table-striped table-bordered confluencetable "
    "ltx_tabular gt_table kable_wrapper",
    LAYOUT: "code file layout navbox vertical-navbox metadata ambox",
}
_PLACES: Final = 1024


def _table() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    bits: dict[str, int] = {}
    for bit, names in _NAMES.items():
        for name in names.split():
            bits[name] = bits.get(name, 0) | bit
    hashes = np.zeros(_PLACES, np.int64)
    values = np.zeros(_PLACES, np.int64)
    for name, bit in bits.items():
        value = name_hash(name.encode())
        place = value & (_PLACES - 1)
        while values[place]:
            assert hashes[place] != value
            place = (place + 1) & (_PLACES - 1)
        hashes[place], values[place] = value, bit
    return hashes, values


_HASHES, _VALUES = _table()
_CLASS: Final = np.frombuffer(b"class", np.uint8)


@inlined_lean_kernel
def _bits_of(value: int) -> int:
    """The bits of the name that has this hash, or 0."""
    place = value & (_PLACES - 1)
    while _VALUES[place] != 0:
        if _HASHES[place] == value:
            return int(_VALUES[place])
        place = (place + 1) & (_PLACES - 1)
    return 0


@lean_kernel
def class_bits(data: NDArray[np.uint8], start: int, stop: int) -> int:
    """What the classes of an element say.

    Args:
        data: uint8[n], the page.
        start: First byte of the attributes.
        stop: The byte behind their last.

    Returns:
        The bits of all its names together; 0 where there is no class or no known one.
    """
    first, last = find_attribute(data, start, stop, _CLASS)
    bits = 0
    at = first
    while at < last:
        value = np.int64(FNV_OFFSET)
        num = 0
        while at < last and data[at] > 32:
            c = np.int64(data[at])
            if 65 <= c <= 90:
                c += 32
            value = (value ^ c) * FNV_PRIME
            num += 1
            at += 1
        if num > 0:
            bits |= _bits_of(int(value))
        at += 1
    return bits
