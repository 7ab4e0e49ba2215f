"""Any filter of datatrove as an annotator: what it would keep, and why it would not.

    annotators:
      - language
      - datatrove:GopherQualityFilter: {min_doc_words: 20}
      - datatrove:my_package.my_filters.MyFilter

A filter there drops documents; here its answer is two columns and nothing is dropped. It gets one
`datatrove.data.Document` a text, with a metadata dict as datatrove's readers make it, and only its
answer is taken: what it writes into the document (C4QualityFilter the lines that it leaves, for
example) is lost. Filters that send documents elsewhere (`exclusion_writer`) are not for this place.

It runs at datatrove's speed, about 50 times slower than the kernels of `annotators.heuristics`,
which has Gopher's, C4's and FineWeb's rules: this is for all other filters. `language` in the
metadata is a code such as "eng_Latn". One that draws random numbers (SamplerFilter) gives labels
that depend on the order of the documents.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pyarrow as pa

FILTERS: Final = "datatrove.pipeline.filters"
_REMEDY: Final = "pip install 'tokenmill[datatrove]'"
_PACKAGES: Final = ("datatrove", "spacy")
# Long and without repeats, so that no rule answers before words and sentences were split.
_PROBE: Final = "\n".join(
    (
        "The old lighthouse stands at the end of the bay, and its keeper has a garden of herbs.",
        "Every morning he walks down to the harbour with a basket that his mother made for him.",
        "Ships from the north bring timber, salt and letters, while those of the south have fruit.",
        "When fog comes in, a bell is rung from the chapel until the last boat is home and safe.",
        "Nobody in this village remembers who built the stone wall that keeps out winter storms.",
        "Children learn to swim there in July, because by then the water is warm enough for them.",
    )
)
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_METADATA: Final = ("language", "url", "source", "license")


class DatatroveFilter:
    """One filter of datatrove (an `Annotator`)."""

    inputs: tuple[str, ...] = (*_METADATA, "meta")

    def __init__(self, filter: str, **options: Any) -> None:  # noqa: ANN401 - any JSON
        """Makes the filter once, so that options it refuses are told before any work starts.

        Args:
            filter: Class of `datatrove.pipeline.filters`, or a module path with a class
                ("my_package.my_filters.MyFilter").
            options: Arguments of the class.

        Raises:
            ValueError: datatrove is not installed, there is no such class, it is no filter, or it
                refuses the options.
        """
        self._filter_name, self._options = filter, options
        self._class = _class_of(filter)
        _check_options(self._class, options)
        self.name = f"datatrove_{_CAPITAL.sub('_', self._class.__name__).lower()}"
        self.version = "1/" + "/".join(f"{name}-{_version_of(name)}" for name in _PACKAGES)
        self.columns = pa.schema(
            [
                pa.field(f"{self.name}_keep", pa.bool_()),
                pa.field(f"{self.name}_reason", pa.string()),
            ]
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the filter behind: one may hold a model that cannot be copied."""
        return {key: value for key, value in self.__dict__.items() if key != "_filter"}

    def model_files(self) -> list[Path]:
        """The module of a user's filter, and options that are paths of files."""
        module = inspect.getsourcefile(self._class)
        is_own = module and not self._class.__module__.startswith("datatrove.")
        own = [Path(module)] if module and is_own else []
        named = [Path(one) for one in self._options.values() if isinstance(one, str)]
        return own + [path for path in named if path.is_file()]

    def check(self) -> None:
        """Makes the filter and asks it once, which tells what is not installed.

        Raises:
            ValueError: It cannot be made, or a package or a file is missing.
        """
        document = _datatrove("datatrove.data").Document
        made = self._filter
        probe = document(text=_PROBE, id="0", metadata={"url": "http://a.example/page"})
        steps: list[Callable[[], object]] = [lambda: _split_words(made), lambda: made.filter(probe)]
        for step in steps:
            try:
                step()
            except ImportError as error:
                raise self._lacks(error) from error
            except OSError as error:
                raise self._needs_file(error) from error
            except Exception:  # what it needs to know of a real document is not known here
                continue

    def _lacks(self, error: ImportError) -> ValueError:
        return ValueError(
            f"datatrove:{self._filter_name} cannot run: {error}; the extra has what most filters "
            f"need: {_REMEDY}"
        )

    def _needs_file(self, error: OSError) -> ValueError:
        return ValueError(
            f"datatrove:{self._filter_name} cannot run: {type(error).__name__}: {error}; it needs "
            "a file that datatrove loads from the internet, or that its options name: put it "
            "there, or leave the filter out"
        )

    @cached_property
    def _filter(self) -> Any:  # noqa: ANN401 - datatrove has no types
        try:
            return self._class(**self._options)
        except ImportError as error:
            raise self._lacks(error) from error
        except OSError as error:
            raise self._needs_file(error) from error
        except Exception as error:
            raise ValueError(
                f"datatrove:{self._filter_name} cannot be made with {self._options}: "
                f"{type(error).__name__}: {error}; change its options"
            ) from error

    def __call__(
        self, texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]
    ) -> pa.RecordBatch:
        """Asks the filter about each text.

        Args:
            texts: large_string, no nulls.
            labels: `inputs`, null where nothing is known.

        Returns:
            `..._keep`, and `..._reason`: null where the text is kept, else what the filter says,
            or "dropped". Where the filter fails, `..._keep` is null and the reason is "failed: "
            with the error.

        Raises:
            ValueError: The filter cannot be made.
        """
        answers = [self._ask(document) for document in _documents(texts, labels)]
        arrays = [
            pa.array([kept for kept, _ in answers], pa.bool_()),
            pa.array([reason for _, reason in answers], pa.string()),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.columns)

    def _ask(self, document: Any) -> tuple[bool | None, str | None]:  # noqa: ANN401
        filter_ = self._filter
        try:
            answer = filter_.filter(document)
        except (ImportError, OSError):  # would be so for all documents
            raise
        except Exception as error:
            return None, f"failed: {type(error).__name__}: {error}"
        kept, reason = answer if isinstance(answer, tuple) else (answer, None)
        return bool(kept), None if kept else str(reason or "dropped")


def _split_words(filter_: Any) -> None:  # noqa: ANN401 - datatrove has no types
    """Splits a text as the filter will by its option `language`, whatever its rules ask first."""
    language = getattr(filter_, "language", None)
    if isinstance(language, str):
        _datatrove("datatrove.utils.text").split_into_words(_PROBE, language)


def _documents(texts: pa.LargeStringArray, labels: Mapping[str, pa.Array]) -> Iterator[Any]:
    """One document of datatrove a text."""
    document = _datatrove("datatrove.data").Document
    known = {name: labels[name].to_pylist() for name in DatatroveFilter.inputs}
    for row, text in enumerate(texts):
        told = {name: known[name][row] for name in _METADATA}
        metadata = dict(known["meta"][row] or ())
        metadata |= {name: value for name, value in told.items() if value is not None}
        yield document(text=text.as_py(), id=str(row), metadata=metadata)


def _datatrove(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"datatrove cannot be imported ({error}); its filters need the extra: {_REMEDY}"
        ) from error


def _class_of(name: str) -> type[Any]:
    """Finds the class of a filter."""
    base = _datatrove(f"{FILTERS}.base_filter").BaseFilter
    module_name, _, class_name = name.replace(":", ".").rpartition(".")
    try:
        module = importlib.import_module(module_name) if module_name else _datatrove(FILTERS)
    except ImportError as error:
        raise ValueError(
            f"datatrove:{name}: there is no module {module_name} ({error}); allowed are a class of "
            f"{FILTERS}, or a module path with a class of your own"
        ) from error
    found = getattr(module, class_name, None)
    if not (inspect.isclass(found) and issubclass(found, base) and found is not base):
        allowed = sorted(
            key
            for key, one in vars(module).items()
            if inspect.isclass(one) and issubclass(one, base) and one is not base
        )
        raise ValueError(
            f"datatrove:{name}: {module.__name__} has no filter {class_name!r}; it has "
            f"{', '.join(allowed) or 'none'}"
        )
    return found


def _check_options(filter_class: type[Any], options: Mapping[str, Any]) -> None:
    """Refuses options that the class does not take, without making it."""
    signature = inspect.signature(filter_class)
    try:
        signature.bind(**options)
    except TypeError as error:
        allowed = [name for name in signature.parameters if name != "exclusion_writer"]
        raise ValueError(
            f"options {sorted(options)} of {filter_class.__name__}: {error}; allowed are "
            f"{', '.join(allowed)}"
        ) from None
    if "exclusion_writer" in options:
        raise ValueError(
            f"options of {filter_class.__name__}: exclusion_writer is not for labels, which drop "
            "nothing; leave it out"
        )


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
