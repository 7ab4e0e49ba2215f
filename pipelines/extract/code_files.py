"""Source code as input: repositories in folders, and rows that name a repository and a path.

A source with the key `code` is taken for code: its files are texts as they were written (a page in
a repository is source, not an article), a document knows its repository and its path in it
(`meta.repository`, `meta.path`), and its media type is that of its programming language. A column
`language` is then a programming language, so it stays a fact in `meta` and declares nothing.

Which files hold code is told by ending or name. The table covers the languages of the large public
sets of code (The Stack v2, arXiv:2402.19173, appendix; Qwen2.5-Coder names 92, arXiv:2409.12186),
under the endings of GitHub Linguist. Media types are registered ones where there are any
(text/javascript is RFC 9239, text/markdown RFC 7763), else `text/x-` and the language. HTML and XML
are `text/x-html` and `text/x-xml` here, which no reader takes for a page.

Left out are lock files, minified scripts and notebooks: the first two nobody wrote, and the third
are JSON around the code.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

REPOSITORY: Final = "repository"
"""Key of `meta`: the repository of a file."""
PATH: Final = "path"
"""Key of `meta`: its path in the repository, with slashes."""


class CodeConfig(BaseModel):
    """That a source is code, and how its files and rows name repository and path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folders: int = Field(default=1, ge=1, le=8)
    """Of files: how many folders below the root of the source name the repository; 2 for
    `owner/name/...`. A file that lies higher belongs to none."""
    repository_column: str = Field(default=REPOSITORY, min_length=1)
    """Of JSONL and Parquet: column of the repository, such as `repo_name`."""
    path_column: str = Field(default=PATH, min_length=1)
    """Likewise of the path in it; its ending says the language."""
    license_column: str = Field(default="license", min_length=1)
    """Likewise of the licence: a string, or a list of them (joined by ` AND `)."""


_TYPES: Final = {
    "application/json": "json",
    "application/toml": "toml",
    "application/yaml": "yaml yml",
    "text/css": "css",
    "text/javascript": "js mjs cjs jsx",
    "text/markdown": "md markdown",
    "text/x-ada": "adb ads",
    "text/x-asm": "asm s nasm",
    "text/x-awk": "awk",
    "text/x-batchfile": "bat cmd",
    "text/x-c": "c h",
    "text/x-c++": "cc cpp cxx hpp hh hxx ipp",
    "text/x-clojure": "clj cljs cljc edn",
    "text/x-cmake": "cmake",
    "text/x-coffeescript": "coffee",
    "text/x-common-lisp": "lisp lsp cl",
    "text/x-csharp": "cs csx",
    "text/x-cuda": "cu cuh",
    "text/x-d": "d",
    "text/x-dart": "dart",
    "text/x-dockerfile": "dockerfile",
    "text/x-elixir": "ex exs",
    "text/x-elm": "elm",
    "text/x-emacs-lisp": "el",
    "text/x-erlang": "erl hrl",
    "text/x-fortran": "f f77 f90 f95 f03 f08 for",
    "text/x-fsharp": "fs fsi fsx",
    "text/x-gdscript": "gd",
    "text/x-glsl": "glsl vert frag comp",
    "text/x-go": "go",
    "text/x-graphql": "graphql gql",
    "text/x-groovy": "groovy gradle",
    "text/x-haskell": "hs lhs",
    "text/x-haxe": "hx",
    "text/x-hcl": "tf hcl",
    "text/x-hlsl": "hlsl",
    "text/x-html": "html htm xhtml vue svelte",
    "text/x-idris": "idr",
    "text/x-java": "java",
    "text/x-jinja": "j2 jinja jinja2",
    "text/x-julia": "jl",
    "text/x-kotlin": "kt kts",
    "text/x-lean": "lean",
    "text/x-less": "less",
    "text/x-lua": "lua",
    "text/x-makefile": "mk make",
    "text/x-nim": "nim nims",
    "text/x-nix": "nix",
    "text/x-objective-c": "m mm",
    "text/x-ocaml": "ml mli",
    "text/x-pascal": "pas pp dpr",
    "text/x-perl": "pl pm perl",
    "text/x-php": "php phtml",
    "text/x-powershell": "ps1 psm1 psd1",
    "text/x-prolog": "prolog",
    "text/x-protobuf": "proto",
    "text/x-python": "py pyi pyw",
    "text/x-cython": "pyx pxd",
    "text/x-r": "r rmd",
    "text/x-racket": "rkt",
    "text/x-restructuredtext": "rst",
    "text/x-ruby": "rb rake gemspec",
    "text/x-rust": "rs",
    "text/x-scala": "scala sc sbt",
    "text/x-scheme": "scm ss sld",
    "text/x-scss": "scss sass",
    "text/x-sh": "sh bash zsh ksh fish",
    "text/x-solidity": "sol",
    "text/x-sparql": "sparql rq",
    "text/x-sql": "sql",
    "text/x-stan": "stan",
    "text/x-standard-ml": "sml",
    "text/x-stylus": "styl",
    "text/x-swift": "swift",
    "text/x-systemverilog": "sv svh",
    "text/x-tcl": "tcl",
    "text/x-tex": "tex sty cls bib",
    "text/x-thrift": "thrift",
    "text/x-typescript": "ts tsx mts cts",
    "text/x-vhdl": "vhd vhdl",
    "text/x-verilog": "v vh",
    "text/x-visual-basic": "vb vbs bas",
    "text/x-xml": "xml xsd xsl xslt svg",
    "text/x-yacc": "y yy",
    "text/x-zig": "zig",
    "text/plain": "txt text",
}
_OF_ENDING: Final = {
    ending: media_type for media_type, endings in _TYPES.items() for ending in endings.split()
}
_OF_NAME: Final = {
    "authors": "text/plain",
    "changelog": "text/plain",
    "changes": "text/plain",
    "cmakelists.txt": "text/x-cmake",
    "contributing": "text/plain",
    "dockerfile": "text/x-dockerfile",
    "gemfile": "text/x-ruby",
    "gnumakefile": "text/x-makefile",
    "makefile": "text/x-makefile",
    "news": "text/plain",
    "rakefile": "text/x-ruby",
    "readme": "text/plain",
}
_NOT_WRITTEN: Final = (".min.js", ".min.css", "package-lock.json", ".lock.json")

CODE_TYPES: Final = frozenset(_TYPES)
"""Media types of the files of a source of code."""


def code_media_type(path: str) -> str | None:
    """The media type of a file of code, by its ending or its name.

    >>> code_media_type("src/main.RS"), code_media_type("a/Makefile"), code_media_type("x.png")
    ('text/x-rust', 'text/x-makefile', None)
    """
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if name in _OF_NAME:
        return _OF_NAME[name]
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or name.endswith(_NOT_WRITTEN):
        return None
    return _OF_ENDING.get(ending)


def split_path(file: str, folders: int) -> tuple[str | None, str]:
    """Repository and path of a file below the root of its source.

    >>> split_path("octo/tool/src/a.py", 2)
    ('octo/tool', 'src/a.py')
    >>> split_path("a.py", 1)
    (None, 'a.py')
    """
    pieces = file.split("/")
    if len(pieces) <= folders:
        return None, file
    return "/".join(pieces[:folders]), "/".join(pieces[folders:])
