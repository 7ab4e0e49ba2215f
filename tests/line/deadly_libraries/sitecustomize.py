"""Makes libraries die of certain inputs, in every process whose PYTHONPATH names this folder.

Python imports `sitecustomize` by itself when it starts, so children are reached too, and nothing of
tokenmill knows of it. Where an input says `poison: <way>`, the library that reads it ends its
process in that way; any other input goes to the library as it is. What is replaced is one function
of each, where it takes what came from outside.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

FUNCTIONS = {
    "trafilatura": "bare_extraction",
    "pypdfium2": "PdfDocument.__init__",
    "lxml.etree": "fromstring",
    "gigatoken": "Tokenizer.encode_batch",
}
POISON = re.compile(r"poison: (\w+)")


def texts_of(value: object) -> Iterator[str]:
    """The texts that an argument holds."""
    if isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, str):
        yield value
    elif hasattr(value, "to_list"):  # texts as gigatoken is given them
        yield from value.to_list()


def dying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, but for inputs that are poison."""

    @functools.wraps(function)
    def call(*args: object, **named: object) -> object:
        for value in args:
            for text in texts_of(value):
                if found := POISON.search(text):
                    from poisons import DEADLY

                    DEADLY[found[1]]()
        return function(*args, **named)

    return call


class Replacing(Loader):
    """Loads a module as its own loader does, and replaces a function of it."""

    def __init__(self, loader: Loader, name: str) -> None:
        self.loader = loader
        self.name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        *owners, last = FUNCTIONS[self.name].split(".")
        owner: Any = functools.reduce(getattr, owners, module)
        setattr(owner, last, dying(getattr(owner, last)))

    def __getattr__(self, name: str) -> object:
        return getattr(self.loader, name)  # what resources of the package are asked for


class Finder(MetaPathFinder):
    """Finds the libraries where they are, to be loaded by `Replacing`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in FUNCTIONS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = Replacing(spec.loader, name)
        return spec


sys.meta_path.insert(0, Finder())
