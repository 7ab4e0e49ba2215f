"""Which modules have the kernels that read a format, and whether they were ever compiled here."""

import importlib
from collections.abc import Iterable
from typing import Final

from pipelines.annotate.compiling import are_packages_uncompiled

WARM: Final = "pipelines.extract.warm"
"""The module that compiles them all."""

# Format of files -> the module that has, or imports, the kernels that read it.
_KERNELS: Final = {
    "html": "pipelines.extract.pages.dom",
    "warc": "pipelines.extract.pages.dom",
    "office": "pipelines.extract.pages.dom",
    "pdf": "pipelines.extract.pdf.layers",
}


def are_formats_uncompiled(formats: Iterable[str]) -> bool:
    """Whether reading some formats needs kernels of which none was ever compiled here.

    Args:
        formats: Of input files; the modules that read them are imported.
    """
    modules = {_KERNELS[one] for one in set(formats) & _KERNELS.keys()}
    for module in modules:
        importlib.import_module(module)
    return are_packages_uncompiled({module.rpartition(".")[0] for module in modules})
