"""fastText model files: found, checked, read into arrays, once a process.

fastText 0.9.2 reads a file without looking at the state of its stream: a truncated model loads as
one with arbitrary vectors, or ends the process. So a file is checked first. A model of this project
is a folder: the classifier `language.ftz`, what stands beside it, and a description `model.json`
with their SHA-256 and the version of the fold they were made with. A model of another maker is
walked through by its own counts (layout: fastText 0.9.2, src/fasttext.cc saveModel,
src/dictionary.cc save, src/matrix.cc, src/quantmatrix.cc, src/productquantizer.cc), which costs
about 0.3 microseconds a word, and must end at its last byte; its counts must be possible ones and
those of dictionary and matrices the same, since the library reads what they say without a look.

Models with a softmax are read here and run by `fasttext_kernel`; quantised vectors are unpacked to
float32 (bit for bit what the library adds up), 48 MB for the shipped model, in 0.1 s. Others
(hierarchical softmax, one-vs-all) are given to the library.
"""

import hashlib
import json
import mmap
import struct
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from annotators.language.fasttext_kernel import MAX_WORD_NGRAM, Network, find_slots
from annotators.language.windows import FOLD_VERSION

SHIPPED: Final = Path(__file__).resolve().parent / "model" / "language.ftz"
BESIDE: Final = ("familiarity.npz", "dialects.npz")
"""Files that belong to a model of this project."""
DESCRIPTION_FORMAT: Final = 2

_MAGIC = 793712314  # src/fasttext.h FASTTEXT_FILEFORMAT_MAGIC_INT32
_VERSION = 12  # src/fasttext.h FASTTEXT_VERSION
_SUPERVISED = 3  # src/args.h model_name::sup
_SOFTMAX = 3  # src/args.h loss_name::softmax
_LABEL = 1  # src/dictionary.h entry_type::label
_LOSSES = (1, 2, 3, 4)  # src/args.h loss_name: hs, ns, softmax, ova
_MAX_DIM = 100_000
_MAX_CHARACTERS = 100  # of a character n-gram
_CENTROIDS = 256  # src/productquantizer.h ksub_ = 1 << 8
_CACHE_LINE = 64
_UNREADABLE = (struct.error, OverflowError, MemoryError, IndexError, ValueError)


class LoadedModel(NamedTuple):
    """A fastText model and what it must be fed with: a network, or else the library's object."""

    network: Network | None
    """Of a softmax model."""
    binding: Any
    """The library's C++ object of any other; its `multilinePredict` takes a batch in one call."""
    folds: bool
    """Whether it was trained on folded lines, that is by this project."""
    labels: tuple[str, ...]
    """Without the prefix `__label__`, in the order of the network's output."""


def fasttext_library() -> ModuleType:
    """Imports fastText.

    Raises:
        ImportError: It is not installed; the message says how to get it.
    """
    try:
        import fasttext
    except ImportError as missing:
        raise ImportError(
            "the language annotator needs fastText: pip install fasttext-numpy2-wheel (a wheel; "
            "the distribution `fasttext` needs a compiler and fails under numpy 2)"
        ) from missing
    library: ModuleType = fasttext
    return library


def description_path(path: Path) -> Path:
    """Where the description of a model of this project stands."""
    return path.with_name("model.json")


def is_described(path: Path) -> bool:
    """Whether a model is one of this project, with the files that belong to it beside it."""
    return path.resolve() == SHIPPED or (
        path.name == SHIPPED.name and description_path(path).is_file()
    )


def describe(folder: Path) -> dict[str, Any]:
    """What the description must say of the model in a folder."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in (folder / SHIPPED.name, *(folder / name for name in BESIDE))
        if path.is_file()
    }
    return {"format": DESCRIPTION_FORMAT, "fold_version": FOLD_VERSION, "files": files}


def load(path: Path) -> LoadedModel:
    """Checks and loads a model; the second call for a path gives the first one's.

    Raises:
        ValueError: The file is missing, damaged, no supervised fastText model, or folded otherwise.
    """
    if not path.is_file():
        raise ValueError(
            f"no language model at {path}; reinstall tokenmill for the one it ships, name another "
            "fastText file with the option `model`, or make one: tokenmill train language"
        )
    return _load(path.resolve())


@lru_cache(maxsize=2)
def _load(path: Path) -> LoadedModel:
    folds = is_described(path)
    if folds:
        _check_description(path)
    else:
        _check_layout(path)
    data = _opened(path)
    if _Walk(data).arguments().loss == _SOFTMAX:
        try:
            network, labels = _Walk(data).network()
        except _UNREADABLE as found:
            raise _damaged(path, str(found)) from None
        return LoadedModel(network, None, folds, labels)
    library = fasttext_library()
    try:
        model = library.load_model(str(path))
    except Exception as found:  # of C++: ValueError, MemoryError, RuntimeError
        raise _damaged(path, f"fastText says {str(found) or type(found).__name__}") from found
    labels = tuple(label.removeprefix("__label__") for label in model.labels)
    return LoadedModel(None, model.f, folds, labels)


def _check_description(path: Path) -> None:
    """Compares the files of a model with what its description says of them."""
    description = description_path(path)
    remedy = "restore the folder (reinstall tokenmill) or train again: tokenmill train language"
    if not description.is_file():
        raise ValueError(
            f"there is no {description}, which describes the model beside it; {remedy}"
        )
    try:
        told = json.loads(description.read_text(encoding="utf-8"))
        version, files = told["fold_version"], dict(told["files"])
        hashes = {name: files[name]["sha256"] for name in (path.name, *files)}
    except (KeyError, TypeError, ValueError) as found:
        raise ValueError(f"{description} is damaged ({found!r}); {remedy}") from None
    for name, expected in hashes.items():
        file = path.with_name(name)
        if not file.is_file():
            raise ValueError(f"there is no {file}, which {description.name} names; {remedy}")
        if _sha256(file) != expected:
            raise ValueError(
                f"{file} is damaged: its SHA-256 is not the one that {description.name} names; "
                f"{remedy}"
            )
    if version != FOLD_VERSION:
        raise ValueError(
            f"the language model {path} was trained on text folded by version {version}, this "
            f"tokenmill folds by version {FOLD_VERSION}; train it again: tokenmill train language"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_layout(path: Path) -> None:
    """Walks through the file by its own counts; it must end where they say."""
    size = path.stat().st_size
    try:
        with _opened(path) as data:
            end = _Walk(data).end_of_model()
    except _UNREADABLE as found:
        raise _damaged(path, str(found)) from None
    if end != size:
        raise _damaged(path, f"its header tells of {end} bytes and the file has {size}")


def _opened(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _damaged(path: Path, found: str) -> ValueError:
    return ValueError(
        f"{path} is damaged or is no supervised fastText model: {found}; download or train it again"
    )


class _Arguments(NamedTuple):
    """What a model was trained with (src/args.cc save)."""

    dim: int
    ws: int
    epoch: int
    min_count: int
    neg: int
    word_ngrams: int
    loss: int
    model: int
    bucket: int
    minn: int
    maxn: int
    lr_update_rate: int
    t: float


class _Words(NamedTuple):
    """The dictionary of a model (src/dictionary.cc save)."""

    words: list[bytes]
    labels: list[bytes]
    num_pruned: int
    """Pairs of `pruned`; -1 where the model was not pruned."""
    pruned: npt.NDArray[np.int32]
    """int32[num_pruned, 2]: n-gram and its row."""


class _Walk:
    """A position in a model file that moves from field to field."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def end_of_model(self) -> int:
        """The byte behind the output matrix.

        Raises:
            ValueError: The header is none of a supervised model, a word does not end, or counts
                contradict each other.
            struct.error: The file ends within a field.
        """
        arguments = self.arguments()
        words = self._dictionary()
        input_is_quantised = self._flag()
        inputs = self._skip_matrix(input_is_quantised)
        output_is_quantised = self._flag()
        outputs = self._skip_matrix(input_is_quantised and output_is_quantised)
        num_ngrams = arguments.bucket if words.num_pruned < 0 else words.num_pruned
        told = (len(words.words) + num_ngrams, arguments.dim), (len(words.labels), arguments.dim)
        if (inputs, outputs) != told:
            raise ValueError(
                f"its header and dictionary tell of matrices of shapes {told[0]} and {told[1]}, "
                f"those behind them have {inputs} and {outputs}"
            )
        limits = (max(1, arguments.bucket), max(1, words.num_pruned))
        if (words.pruned < 0).any() or (words.pruned >= limits).any():
            raise ValueError("its list of n-grams names some that it cannot have")
        return self._at

    def arguments(self) -> _Arguments:
        """Reads the header.

        Raises:
            ValueError: It is none of a supervised model.
        """
        magic, version = self._read("<ii")
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError(f"it begins with {magic}, {version} instead of {_MAGIC}, {_VERSION}")
        arguments = _Arguments(*self._read("<12id"))
        if arguments.model != _SUPERVISED:
            raise ValueError("it holds word vectors without labels")
        if arguments.loss not in _LOSSES:
            raise ValueError(f"its loss is number {arguments.loss}, allowed are 1 to 4")
        if not 0 < arguments.dim < _MAX_DIM:
            raise ValueError(f"its vectors have {arguments.dim} dimensions")
        if arguments.bucket < 0 or not 0 <= arguments.minn <= arguments.maxn < _MAX_CHARACTERS:
            raise ValueError(
                f"it has {arguments.bucket} n-grams of {arguments.minn} to {arguments.maxn} "
                "characters"
            )
        if not 1 <= arguments.word_ngrams <= MAX_WORD_NGRAM:
            raise ValueError(
                f"it has n-grams of {arguments.word_ngrams} words, allowed are 1 to "
                f"{MAX_WORD_NGRAM}"
            )
        return arguments

    def network(self) -> tuple[Network, tuple[str, ...]]:
        """Reads a whole softmax model, and its labels without prefix.

        Raises:
            ValueError: Its counts contradict each other.
        """
        arguments = self.arguments()
        words = self._dictionary()
        input_is_quantised = self._flag()
        rows = self._matrix(input_is_quantised)
        output_is_quantised = self._flag()
        output = self._matrix(input_is_quantised and output_is_quantised)
        pruned = np.zeros(0, np.int32)
        num_ngram_rows = arguments.bucket
        if words.num_pruned >= 0:
            pruned = np.full(arguments.bucket if words.num_pruned else 0, -1, np.int32)
            pruned[words.pruned[:, 0]] = words.pruned[:, 1]
            num_ngram_rows = int(pruned.max(initial=-1)) + 1
        found = (len(rows) >= len(words.words) + num_ngram_rows, len(output), output.shape[1])
        if found != (True, len(words.labels), rows.shape[1]) or pruned.min(initial=0) < -1:
            raise ValueError(
                f"{len(words.words)} words, {num_ngram_rows} n-grams and {len(words.labels)} "
                f"labels do not fit matrices of shapes {rows.shape} and {output.shape}"
            )
        word_bytes = np.frombuffer(b"".join(words.words), np.uint8)
        word_ends = np.array([0, *accumulate(len(word) for word in words.words)], np.int64)
        end = words.words.index(b"</s>") if b"</s>" in words.words else -1
        network = Network(
            word_bytes, word_ends, find_slots(word_bytes, word_ends), pruned, rows,
            np.ascontiguousarray(output.T),
            arguments.bucket, arguments.minn, arguments.maxn, arguments.word_ngrams, end,
            words.num_pruned == 0,
        )  # fmt: skip
        return network, tuple(
            label.decode(errors="replace").removeprefix("__label__") for label in words.labels
        )

    def _matrix(self, quantised: bool) -> npt.NDArray[np.float32]:
        """float32[num_rows, dim], each row of 16 numbers in one cache line.

        Row i of a quantised matrix is the concatenation of one centroid for each of its codes,
        times its norm (fastText 0.9.2, src/quantmatrix.cc and src/productquantizer.cc).
        """
        if not quantised:
            num_rows, dim = self._read("<qq")
            return _aligned(self._array(np.float32, num_rows * dim).reshape(num_rows, dim))
        has_norms, num_rows, _, num_codes = self._read("<?qqi")
        codes = self._array(np.uint8, num_codes).reshape(num_rows, -1)
        rows = self._centroids_of(codes)
        if has_norms:
            norms = self._array(np.uint8, num_rows).reshape(num_rows, 1)
            rows *= self._centroids_of(norms)
        return _aligned(rows)

    def _centroids_of(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Reads a product quantiser and looks up the centroids of codes [num_rows, num_parts]."""
        dim, num_parts, size, last_size = self._read("<4i")
        centroids = self._array(np.float32, dim * _CENTROIDS)
        found = []
        for part in range(num_parts):
            width = last_size if part == num_parts - 1 else size
            start = part * _CENTROIDS * size
            table = centroids[start : start + _CENTROIDS * width].reshape(_CENTROIDS, width)
            found.append(table[codes[:, part]])
        return np.concatenate(found, axis=1)

    def _array(self, dtype: npt.DTypeLike, count: int) -> npt.NDArray[Any]:
        array = np.frombuffer(self._data, dtype, count, self._at)
        self._at += array.nbytes
        return array

    def _read(self, layout: str) -> tuple[Any, ...]:
        fields = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return fields

    def _flag(self) -> bool:
        return bool(self._read("<?")[0])

    def _dictionary(self) -> _Words:
        num_entries, _, _, _, num_pruned = self._read("<iiiqq")
        words: list[bytes] = []
        labels: list[bytes] = []
        for _ in range(num_entries):
            end_of_word = self._data.find(b"\0", self._at)
            if end_of_word < 0:
                raise ValueError("it ends within its dictionary")
            word = self._data[self._at : end_of_word]
            self._at = end_of_word + 1 + 8 + 1  # behind it count and type
            is_label = self._at <= len(self._data) and self._data[self._at - 1] == _LABEL
            (labels if is_label else words).append(word)
        # A copy, since a mapped file that is looked into cannot be closed.
        pruned = self._array(np.int32, 2 * max(0, num_pruned)).reshape(-1, 2).copy()
        return _Words(words, labels, num_pruned, pruned)

    def _skip_matrix(self, quantised: bool) -> tuple[int, int]:
        """Its rows and columns."""
        if not quantised:
            rows, columns = self._read("<qq")
            self._at += 4 * rows * columns
            return rows, columns
        has_norms, rows, columns, num_codes = self._read("<?qqi")
        self._at += num_codes
        self._skip_quantizer(columns, num_codes, rows)
        if has_norms:
            self._at += rows
            self._skip_quantizer(1, rows, rows)
        return rows, columns

    def _skip_quantizer(self, columns: int, num_codes: int, rows: int) -> None:
        dim, num_parts, size, last_size = self._read("<4i")
        if (dim, num_parts * rows, (num_parts - 1) * size + last_size) != (
            columns, num_codes, columns,
        ):  # fmt: skip
            raise ValueError(
                f"{num_codes} codes for {rows} rows of {columns} numbers do not fit {num_parts} "
                f"parts of {size} and the last of {last_size}"
            )
        self._at += 4 * dim * _CENTROIDS


def _aligned(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A copy that begins at a cache line; rows of 64 bytes in two lines take 1.6 times as long."""
    room = np.empty(rows.nbytes + _CACHE_LINE, np.uint8)
    start = -room.ctypes.data % _CACHE_LINE
    aligned = room[start : start + rows.nbytes].view(np.float32).reshape(rows.shape)
    aligned[:] = rows
    return aligned
