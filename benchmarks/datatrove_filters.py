"""The datatrove side of `annotate.py`: its filters over the same texts, under datatrove's own venv.

    python datatrove_filters.py '{"input": ..., "output": ..., "alone": 800}'

Filters have their defaults (English words by spaCy's blank `en`). Each document goes through all of
them in turn, as in a pipeline that drops nothing, so the words that datatrove keeps of the last
texts serve all four: that is the time `together`. The first `alone` documents then go through each
filter alone, with nothing kept: `alone`. CPU seconds of this process, after a warm-up.

`<output>/answers.jsonl` has one object a document: filter -> [keep, reason]; `result.json` has
versions and seconds.
"""

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from time import process_time
from typing import Any

PACKAGES = ("datatrove", "spacy", "numpy")
WARM_UP = 5


def filters() -> dict[str, Any]:
    """The filters by the names of tokenmill's rules."""
    from datatrove.pipeline.filters import (  # type: ignore[import,unused-ignore]
        C4ParagraphFilter,
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    return {
        "gopher_quality": GopherQualityFilter(),
        "gopher_repetition": GopherRepetitionFilter(),
        "c4": C4QualityFilter(),
        "fineweb": FineWebQualityFilter(),
        "c4_paragraph": C4ParagraphFilter(),
    }


def asker() -> Callable[[Any, str], tuple[bool, str | None]]:
    """A function that asks one filter about one text."""
    from datatrove.data import Document  # type: ignore[import,unused-ignore]

    def ask(one: Any, text: str) -> tuple[bool, str | None]:  # noqa: ANN401
        answer = one.filter(Document(text=text, id="0"))
        kept, reason = answer if isinstance(answer, tuple) else (answer, None)
        return bool(kept), reason

    return ask


def run(task: dict[str, Any]) -> None:
    """Asks all filters about all texts."""
    from datatrove.utils.text import (  # type: ignore[import,unused-ignore]
        split_into_parts,
    )

    with Path(task["input"]).open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    ask, named = asker(), filters()
    for text in texts[:WARM_UP]:
        for one in named.values():
            ask(one, text)
    folder = Path(task["output"])
    folder.mkdir(parents=True)
    begin = process_time()
    answers = [{name: ask(one, text) for name, one in named.items()} for text in texts]
    together = process_time() - begin
    alone = {}
    for name, one in named.items():
        begin = process_time()
        for text in texts[: task["alone"]]:
            split_into_parts.cache_clear()
            ask(one, text)
        alone[name] = process_time() - begin
    with (folder / "answers.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(answer) + "\n" for answer in answers)
    result = {
        "versions": {name: version(name) for name in PACKAGES},
        "together": together,
        "alone": alone,
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
