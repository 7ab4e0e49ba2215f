"""The datatrove side of `end_to_end.py` and `shards.py`; runs under datatrove's own venv.

    python datatrove_side.py '{"kind": "html", "input": ..., "output": ..., ...}'

One process runs one pipeline and writes `result.json` into its output folder. What stands in for
things that datatrove would fetch from the network, and what was chosen:

- language: datatrove's LanguageFilter and FT176LID as they are, but their model file is the one
  that tokenmill ships, read from disk. It calls fastText's `predict` with all labels on the whole
  text, as datatrove does. Only the label is written (`label_only`), nothing is dropped for it.
  The file is quantised, which makes a plain `predict` slower than one of lid.176.bin would be; the
  table says how much of datatrove's time the step took (15 % of part B on 2 cores).
- words: datatrove's own choice for English, spaCy's blank `en` with its sentencizer, which needs no
  download. NLTK and its data are not used. All documents are filtered with the English settings,
  datatrove's default.
- html: the filters and their order are those of datatrove's examples/fineweb.py, C4 included
  (tokenmill measures the C4 signals too). The extractor is `Trafilatura()` with its default
  options, or with `no_fallback=True`, which is what trafilatura 1.x calls its fast mode.
- text: what passes the filters is tokenized with the same tokenizer.json and EOD token.
- shards: JSONL to MegatronDocumentTokenizer and nothing between.

A dropped document meets no later filter, so datatrove does less the more it drops; tokenmill
measures every signal of every document.
"""

import json
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("datatrove", "trafilatura", "spacy", "tokenizers", "fasttext-numpy2-wheel")
EOD = "<|endoftext|>"


def note_ids(data: Any, rank: int, world_size: int, folder: str) -> Iterator[Any]:  # noqa: ANN401
    """A pipeline step that lists the ids of what passes it; costs about a microsecond each."""
    with (Path(folder) / f"{rank:05d}.ids").open("w", encoding="utf-8") as ids:
        for document in data:
            ids.write(f"{document.id}\n")
            yield document


def _label_language(model: str) -> Any:  # noqa: ANN401 - a class of datatrove
    from datatrove.pipeline.filters import (  # type: ignore[import-not-found,unused-ignore]
        LanguageFilter,
    )

    step = LanguageFilter(label_only=True)
    step.model.MODEL_URL = model  # fsspec copies a local path into the cache of assets
    return step


def _filters(*, with_c4: bool) -> list[Any]:
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    c4 = [C4QualityFilter(filter_no_terminal_punct=False)] if with_c4 else []
    return [GopherRepetitionFilter(), GopherQualityFilter(), *c4, FineWebQualityFilter()]


def _html_steps(task: dict[str, Any]) -> list[Any]:
    """WARC to labelled, filtered JSONL; without filters where `articles` is asked for."""
    from datatrove.pipeline.extractors import (  # type: ignore[import-not-found,unused-ignore]
        Trafilatura,
    )
    from datatrove.pipeline.readers import (  # type: ignore[import-not-found,unused-ignore]
        WarcReader,
    )
    from datatrove.pipeline.writers import (  # type: ignore[import-not-found,unused-ignore]
        JsonlWriter,
    )

    extractor = Trafilatura(no_fallback=True) if task["fast"] else Trafilatura()
    steps = [WarcReader(task["input"], glob_pattern="*.warc.gz"), extractor]
    if task["kind"] == "html":
        steps += [_label_language(task["model"]), *_filters(with_c4=True)]
    noted = partial(note_ids, folder=task["output"])
    return [*steps, noted, JsonlWriter(f"{task['output']}/documents")]


def _text_steps(task: dict[str, Any]) -> list[Any]:
    """JSONL to labelled, filtered, tokenized Megatron datasets."""
    reader, tokenizer = _shards_steps(task)
    return [
        reader,
        _label_language(task["model"]),
        *_filters(with_c4=False),
        partial(note_ids, folder=task["output"]),
        tokenizer,
    ]


def _shards_steps(task: dict[str, Any]) -> list[Any]:
    """JSONL to Megatron datasets."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import (  # type: ignore[import-not-found,unused-ignore]
        MegatronDocumentTokenizer,
    )

    tokenizer = MegatronDocumentTokenizer(
        output_folder=f"{task['output']}/shards",
        tokenizer_name_or_path=task["tokenizer"],
        eos_token=EOD,
    )
    return [JsonlReader(task["input"], glob_pattern="*.jsonl"), tokenizer]


def run(task: dict[str, Any]) -> None:
    """Runs one pipeline with as many tasks as workers.

    Args:
        task: `kind` (html, articles: html without labels and filters, text, or shards), `input`
            and `output` folders, `processes`, and as the kind needs `fast`, `model`, `tokenizer`.
    """
    from datatrove.executor import (  # type: ignore[import-not-found,unused-ignore]
        LocalPipelineExecutor,
    )

    Path(task["output"]).mkdir(parents=True)
    steps = {"text": _text_steps, "shards": _shards_steps}.get(task["kind"], _html_steps)(task)
    stats = LocalPipelineExecutor(
        pipeline=steps,
        tasks=task["processes"],
        workers=task["processes"],
        logging_dir=f"{task['output']}/logs",
    ).run()
    result = {
        "versions": {name: version(name) for name in PACKAGES},
        "counts": {step.name: {k: v.total for k, v in step.stats.items()} for step in stats.stats},
        "seconds": {step.name: step.time_stats.total for step in stats.stats},
    }
    (Path(task["output"]) / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
