"""Inputs of `scale.py`: texts in many languages and pages, amplified from real data to any size.

A text is a row of pieces drawn at random from one pool until it has its length. Pools are the
languages of `langid/` (news and reference sentences of ntrex128, sib200 and tatoeba) and the
collections of `text/` (novels, LaTeX, specifications, tutorials, Chinese wiki), each a pool with
its own pieces: a text never mixes languages. 70 % of the documents come of `text/`, the rest of all
languages in turn. Lengths are log-normal (sigma 0.9, median 2,600 bytes, 300 to 60,000), 4 KB in
the mean, as documents of Common Crawl have. Two texts that share two pieces or more are rare, so
amplified texts are not duplicates of each other.

Known duplicates are put in: of ten documents one equals an earlier one (a third of them in another
case), and one repeats an earlier one with a piece more, which is near. So deduplication finds about
a fifth, wherever the size of the set.

Document i is a function of (seed, i) and so stands in every size: 4x holds 1x. Files are JSON Lines
of about `FILE_BYTES`; a part of the run takes one.

Pages are those of `html/`, each with a paragraph more where it comes again (`inputs.write_pages`);
PDFs are the real files under other names: extraction compares no two of them.
"""

import gzip
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

FILE_BYTES: Final = 8 << 20
MEAN_BYTES: Final = 4_000
_SIGMA: Final = 0.9
_MEDIAN: Final = 2_600
_LENGTHS: Final = (300, 60_000)
_OF_TEXTS: Final = 0.7
_EQUAL: Final = 0.1
_NEAR: Final = 0.1
_PIECE: Final = (30, 600)
_SENTENCES: Final = ("ntrex128", "sib200_floresdev", "tatoeba")
_LEAST_PIECES: Final = 150  # of a language that is used


@cache
def pools(data: Path) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...]]:
    """Pieces of the collections of `text/`, and of the languages, in the order of their names.

    Raises:
        ValueError: The folder does not hold them.
    """
    texts: dict[str, dict[str, None]] = {}
    for path in sorted((data / "text").glob("*.jsonl.gz")):
        for row in _rows(path):
            key = f"{path.name} {row.get('lang', '')}"
            found = texts.setdefault(key, {})
            for piece in row["text"].split("\n\n"):
                if _PIECE[0] <= len(piece) <= _PIECE[1]:
                    found[piece] = None
    languages: dict[str, dict[str, None]] = {}
    for name in _SENTENCES:
        path = data / "langid" / f"{name}.jsonl.gz"
        for row in _rows(path) if path.is_file() else ():
            languages.setdefault(row["lang"], {})[row["text"]] = None
    if not texts or not languages:
        raise ValueError(f"{data} holds no text/ or no langid/; name the folder with --data")
    kept = [
        tuple(tuple(pool) for _, pool in sorted(one.items()) if len(pool) >= _LEAST_PIECES)
        for one in (texts, languages)
    ]
    return kept[0], kept[1]


def text_of(data: Path, seed: int, number: int) -> str:
    """The text of one document, also of a planted duplicate."""
    chance = random.Random((seed << 40) | number)
    kind = chance.random()
    if number and kind < _EQUAL + _NEAR:
        first = text_of(data, seed, chance.randrange(number))
        if kind < _EQUAL:
            return first.upper() if kind < _EQUAL / 3 else first
        return f"{first}\n\nRead once more, as number {number} of this set."
    of_texts, of_languages = pools(data)
    if chance.random() < _OF_TEXTS:
        sizes = [len(pool) for pool in of_texts]  # so that pieces come equally often
        (pool,) = chance.choices(of_texts, sizes)
    else:
        pool = of_languages[number % len(of_languages)]
    shortest, longest = _LENGTHS
    wanted = min(max(shortest, _MEDIAN * 2.718281828 ** chance.gauss(0, _SIGMA)), longest)
    pieces, length = [], 0
    while length < wanted:
        pieces.append(pool[chance.randrange(len(pool))])
        length += len(pieces[-1].encode())
    return "\n\n".join(pieces)


def write_texts(data: Path, first: int, end: int, folder: Path, seed: int = 1) -> int:
    """Adds the documents [first, end) to a folder as `part-<n>.jsonl`; gives the bytes of texts."""
    folder.mkdir(parents=True, exist_ok=True)
    done, filled = 0, 0
    file = (folder / f"part-{first:09d}.jsonl").open("w", encoding="utf-8")
    for number in range(first, end):
        if filled >= FILE_BYTES:
            file.close()
            file, filled = (folder / f"part-{number:09d}.jsonl").open("w", encoding="utf-8"), 0
        text = text_of(data, seed, number)
        size = len(text.encode())
        done, filled = done + size, filled + size
        url = f"https://host{number % 997}.example/page/{number}"
        file.write(json.dumps({"id": str(number), "text": text, "url": url}, ensure_ascii=False))
        file.write("\n")
    file.close()
    return done


def copy_files(files: list[Path], times: int, folder: Path) -> int:
    """Links files under `times` names each; gives their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        for copy in range(times):
            place = folder / f"{number:04d}-{copy:03d}{file.suffix}"
            if not place.exists():
                place.symlink_to(file.resolve())
    return len(files) * times


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)
