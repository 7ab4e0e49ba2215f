"""`tokenmill evaluate`: figures of quality on data that nothing was trained or tuned on."""

from pathlib import Path
from typing import Annotated, Final

import typer

app = typer.Typer(
    help="Measure quality on data that was not trained on.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

# What `--data` is.
_LANGUAGE: Final = "Folder of sentences whose language is known."
_DOMAIN: Final = "Folder of pages whose topic and format are known."
_STEM: Final = "Folder of learnxinyminutes.jsonl.gz, or its parent."
_QUALITY: Final = "Folder of pages that people called good or bad."
_HTML: Final = "Folder that holds html/ with pages and gold."
_DOCUMENTS: Final = "Folder that holds documents/ with PDFs and gold."
_NEAR_DUPLICATES: Final = "Folder that holds neardup/ with pairs."
_DECONTAMINATION: Final = "Folder with decontamination/, text/ and labels/."
_HELD_OUT: Final = "Folder that holds neardup/ with pairs."
_FIDELITY: Final = "Folder that holds langid/ and text/."
_PACKING: Final = "Folder that holds text/ with JSON Lines."


def register(parent: typer.Typer) -> None:
    """Adds the command and those below it."""
    parent.add_typer(app, name="evaluate")


@app.callback()
def _evaluate() -> None:
    """Measure quality on data that was not trained on."""


def _given(data: Path | None, wanted: str, *, or_file: bool = False) -> Path:
    """The data, which are no part of tokenmill.

    Raises:
        ValueError: They are not named, or are not `wanted`.
    """
    if data is not None and (data.is_dir() or (or_file and data.is_file())):
        return data
    if data is None:
        found = "missing"
    else:
        found = f"{data} is a file" if data.is_file() else f"found no {data}"
    raise ValueError(
        f"--data: {found}; wanted: {wanted}{' Or a file.' if or_file else ''} It comes not with "
        "tokenmill: name yours"
    )


@app.command("language")
def evaluate_language_command(
    data: Annotated[Path | None, typer.Option(help=_LANGUAGE)] = None,
    model: Annotated[
        Path | None, typer.Option(help="A fastText model other than the shipped one.")
    ] = None,
    label_map: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|CSV",
            help="Labels of that model -> the 119 codes: glotlid-v3, openlid-v3, lid.176 or a file "
            "with the columns label and code.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw who is taken for whom.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Write the figures of every label.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Sentences only: no short texts, no documents.")
    ] = False,
) -> None:
    """Measure how well languages are told apart."""
    from annotators.language.annotator import Language
    from annotators.language.evaluation import (
        evaluate_language,
        render_language,
        write_figures,
    )

    is_file = label_map is not None and Path(label_map).is_file()
    mapped = Path(label_map) if label_map is not None and is_file else label_map
    data = _given(data, _LANGUAGE)
    annotator = Language(model=model, label_map=mapped)
    annotator.check()
    measured = evaluate_language(data, annotator=annotator)
    typer.echo(render_language(measured))
    if figures is not None:
        write_figures(measured, figures)
    if picture is not None:
        from annotators.language.confusion import draw_confusion

        draw_confusion(measured.sets[0].confusion, picture)
        typer.echo(f"{picture}: who is taken for whom in {measured.sets[0].name}")
    if not quick:
        from annotators.language.evaluation_documents import (
            evaluate_mixed,
            evaluate_sampling,
            evaluate_short,
            render_documents,
        )

        whole = Language(model=model, label_map=mapped, whole=True)
        tables = render_documents(
            evaluate_short(data, annotator),
            evaluate_sampling(data, annotator, whole),
            evaluate_mixed(data, annotator),
        )
        typer.echo(f"\n{tables}")


@app.command("domain")
def evaluate_domain_command(
    data: Annotated[Path | None, typer.Option(help=_DOMAIN)] = None,
    model: Annotated[
        Path | None, typer.Option(help="A folder of `train domain` instead of the word lists.")
    ] = None,
    learn: Annotated[bool, typer.Option(help="Also train on folds of the pages.")] = True,
) -> None:
    """Measure topics and formats, and what can be learnt of them."""
    from annotators.domain.evaluation import evaluate_domain, render_domain

    typer.echo(render_domain(evaluate_domain(_given(data, _DOMAIN), model=model, learn=learn)))


@app.command("stem")
def evaluate_stem_command(
    data: Annotated[Path | None, typer.Option(help=_STEM)] = None,
) -> None:
    """Measure which programming languages are named, and what is taken for code."""
    from annotators.stem.evaluation import evaluate_stem, render_stem

    typer.echo(render_stem(evaluate_stem(_given(data, _STEM))))


@app.command("quality")
def evaluate_quality_command(
    data: Annotated[Path | None, typer.Option(help=_QUALITY)] = None,
    model: Annotated[
        Path | None, typer.Option(help="File or folder of `train quality` instead of the default.")
    ] = None,
) -> None:
    """Measure how well the quality score orders pages that it was not trained on."""
    from annotators.heuristics.score_evaluation import evaluate_quality, render_quality

    typer.echo(render_quality(evaluate_quality(_given(data, _QUALITY, or_file=True), model)))


@app.command("pii")
def evaluate_pii_command(
    cases: Annotated[
        Path | None,
        typer.Option(help="File or folder of cases (JSON Lines); default: those of tokenmill."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="JSON Lines (.gz) of texts, to count spans in; may be given more than once.",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Show so many spans of each kind in these texts.")
    ] = 0,
    mistakes: Annotated[
        bool, typer.Option("--mistakes", help="List every case that is not exactly right.")
    ] = False,
) -> None:
    """Measure which personal data is found, and what is taken for it."""
    from annotators.pii.evaluation import (
        count_hits,
        evaluate_pii,
        read_pii_cases,
        read_texts,
        render_pii,
        sample_hits,
    )

    texts = [one for path in text or [] for one in read_texts(path)]
    hits = count_hits(texts) if text else None
    typer.echo(render_pii(evaluate_pii(read_pii_cases(cases)), hits, mistakes=mistakes))
    for kind, lines in (sample_hits(texts, sample) if sample else {}).items():
        typer.echo("\n".join(["", kind, *lines]))


@app.command("html")
def evaluate_html_command(
    data: Annotated[Path | None, typer.Option(help=_HTML)] = None,
    engines: Annotated[
        str, typer.Option(help="Engines side by side, separated by commas; peers as themselves.")
    ] = "auto,fast,trafilatura,trafilatura-fast,resiliparse",
    sample: Annotated[
        int | None, typer.Option(min=1, help="At most so many pages of each set.")
    ] = None,
) -> None:
    """Measure how well and how fast engines find the text and the structure of pages."""
    from pipelines.extract.evaluation import evaluate_html, render_html

    names = [name.strip() for name in engines.split(",")]
    typer.echo(render_html(evaluate_html(_given(data, _HTML), names, sample)))


@app.command("documents")
def evaluate_documents_command(
    data: Annotated[Path | None, typer.Option(help=_DOCUMENTS)] = None,
    engines: Annotated[
        str, typer.Option(help="Engines side by side, separated by commas.")
    ] = "pdfium",
    sample: Annotated[
        int | None, typer.Option(min=1, help="At most so many pages of each set.")
    ] = None,
    ocr: Annotated[
        bool, typer.Option("--ocr/--no-ocr", help="Also read pages by OCR, which takes minutes.")
    ] = True,
) -> None:
    """Measure text layers against facts about pages, and OCR against transcriptions."""
    from pipelines.extract.documents_evaluation import evaluate_documents, render_documents

    names = [name.strip() for name in engines.split(",")]
    measured = evaluate_documents(_given(data, _DOCUMENTS), names, sample, ocr=ocr)
    typer.echo(render_documents(measured))


@app.command("near-duplicates")
def evaluate_near_duplicates_command(
    data: Annotated[Path | None, typer.Option(help=_NEAR_DUPLICATES)] = None,
) -> None:
    """Measure recall by similarity, and precision, of near-duplicates."""
    from pipelines.near_duplicates.evaluation import evaluate_near_duplicates

    typer.echo(evaluate_near_duplicates(_given(data, _NEAR_DUPLICATES)).to_text())


@app.command("decontamination")
def evaluate_decontamination_command(
    data: Annotated[Path | None, typer.Option(help=_DECONTAMINATION)] = None,
    items: Annotated[int, typer.Option(min=1, help="Items planted of each benchmark.")] = 50,
) -> None:
    """Measure how many planted benchmark items are found, and what is flagged without any."""
    from annotators.contamination.evaluation import (
        evaluate_decontamination,
        render_decontamination,
    )

    typer.echo(
        render_decontamination(
            evaluate_decontamination(_given(data, _DECONTAMINATION), items_per_benchmark=items)
        )
    )


@app.command("held-out")
def evaluate_held_out_command(
    data: Annotated[Path | None, typer.Option(help=_HELD_OUT)] = None,
) -> None:
    """Measure which near copies of held-out texts leave training with them."""
    from pipelines.validation.evaluation import evaluate_held_out

    typer.echo(evaluate_held_out(_given(data, _HELD_OUT)).to_text())


@app.command("packing")
def evaluate_packing_command(
    data: Annotated[Path | None, typer.Option(help=_PACKING)] = None,
    tokenizer: Annotated[str, typer.Option(help="Tokenizer.")] = "examples/tokenizer",
) -> None:
    """Measure how much of packed sequences is padding."""
    from pipelines.shards.packing_evaluation import evaluate_packing, render_packing

    typer.echo(render_packing(evaluate_packing(_given(data, _PACKING), tokenizer)))


@app.command("fidelity")
def evaluate_fidelity_command(
    data: Annotated[Path | None, typer.Option(help=_FIDELITY)] = None,
    texts: Annotated[int, typer.Option(min=1, help="Texts of each language at most.")] = 40,
) -> None:
    """Check of refined texts: good edits that it refuses, bad edits that it lets pass."""
    from pipelines.synthesize.fidelity_evaluation import evaluate_fidelity, render_errors

    typer.echo(render_errors(evaluate_fidelity(_given(data, _FIDELITY), texts=texts)))
