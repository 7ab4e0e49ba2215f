"""The page: valid, self-contained, honest, safe with hostile texts, the same every time."""

import dataclasses
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from labelled_corpus import EMAIL, KEY, OVERRIDE, SCRIPT

from pipelines.deduplicate.found import DuplicatesFound, SpansFound
from pipelines.report.facts import Check, OriginFacts, RunFacts
from pipelines.report.gather import gather
from pipelines.report.page import Price, render
from pipelines.report.rejects import read_rejects
from pipelines.report.samples import read_samples
from pipelines.report.write import write_report
from pipelines.run_record import read_run_record, write_run_record
from pipelines.workspace.workspace import Workspace

VOID = {"meta", "link", "br", "col", "rect", "img"}


class Page(HTMLParser):
    """Tags, attributes and texts of a page; fails where tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data
        if self.rows and {"th", "td"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        """Cells of the first row that begins with a name."""
        rows = ([" ".join(cell.split()) for cell in row] for row in self.rows)
        return next(row[1:] for row in rows if row[:1] == [name])

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def page_of(workspace: Workspace, facts: RunFacts | None = None, **options: object) -> str:
    facts = facts or gather(workspace)
    record = read_run_record(workspace)
    samples = read_samples(workspace, record, facts.labels, 3)
    return render(facts, samples, read_rejects(workspace, record, 3), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def html(rich: Workspace) -> str:
    return page_of(rich)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_tags_nest_ids_are_unique_and_anchors_lead_somewhere(page: Page) -> None:
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] or "" for attrs in page.all("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_nothing_is_fetched_or_run(html: str, page: Page) -> None:
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {t for t, _ in page.tags}
    assert [attrs["href"] for attrs in page.all("link")] == ["data:,"]
    for _, attrs in page.tags:
        assert not {"src", "srcset", "action", "onclick", "onload", "background"} & set(attrs)
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(style) == 1
    assert "url(" not in style[0]
    assert "@import" not in style[0]
    policy = next(a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_numbers_on_the_page_are_those_of_the_facts(rich: Workspace, page: Page) -> None:
    facts = gather(rich)
    stages = facts.stages
    assert page.row("documents") == ["14", "82 %"]
    assert page.row("rejected") == ["3", "18 %"]
    assert page.row("fetched") == ["3", "38 %"]
    assert page.row("tokens written") == [f"{stage.tokens:,}" for stage in stages]
    assert page.row("eligible") == [f"{stage.eligible:,}" for stage in stages]
    assert page.row("end-of-document tokens") == [f"{s.counts['eod']:,}" for s in stages]
    assert page.row("all languages") == ["14", *[f"{stage.tokens:,}" for stage in stages]]
    assert page.row("email") == ["4", "67 %"]
    assert "Cut or replaced in small / first: email" in page.text
    assert page.row("near copy") == ["2", "14 %"]
    assert f"{facts.tokens:,} tokens for 2 training stages, from 14 documents" in page.text


def test_columns_of_the_account_add_up_as_printed(page: Page) -> None:
    def numbers(name: str) -> list[int]:
        return [int(cell.replace(",", "").replace("\u2212", "-")) for cell in page.row(name)]

    lost = [14 + number for number in numbers("where is false")]
    assert lost == numbers("eligible")
    drawn = zip(numbers("eligible"), numbers("not drawn: expected less than once"), strict=True)
    assert [sum(pair) for pair in drawn] == numbers("drawn at least once")
    names = (
        "tokens of the draws",
        "by cutting personal data",
        "end-of-document tokens",
        "padding",
    )
    parts = list(zip(*(numbers(name) for name in names), strict=True))
    assert [part[1] < 0 for part in parts] == [True, False]  # the first stage alone redacts
    assert [sum(part) for part in parts] == numbers("tokens written")


def test_hostile_text_is_shown_and_is_not_markup(html: str, page: Page) -> None:
    assert SCRIPT in page.text  # what a reader sees
    assert SCRIPT not in html
    assert "<img" not in html
    assert "harbour <life>" in page.text
    assert OVERRIDE not in html
    assert "[U+202E]" in page.text


def test_found_personal_data_is_not_on_the_page(html: str) -> None:
    assert EMAIL not in html
    assert KEY not in html
    assert EMAIL.split("@")[0] not in html
    assert 'class="mask">email<' in html


def test_texts_have_their_language_and_direction(page: Page) -> None:
    texts = [attrs for attrs in page.all("div") if attrs.get("class") == "text"]
    assert all(attrs["dir"] == "auto" for attrs in texts)
    assert {"ar", "hi", "ja", "th", "en"} <= {attrs["lang"] for attrs in texts}


def test_every_table_has_a_caption_and_every_picture_a_name(page: Page, html: str) -> None:
    assert html.count("<table") == html.count("<caption")
    assert all(attrs.get("aria-label") for attrs in page.all("svg"))
    regions = [a for a in page.all("div") if a.get("role") == "region"]
    assert all(a.get("aria-label") and a.get("tabindex") == "0" for a in regions)


def test_equal_workspaces_give_equal_bytes(rich: Workspace, tmp_path: Path) -> None:
    shutil.copytree(rich.url, tmp_path / "elsewhere", copy_function=shutil.copy2)
    copied = Workspace.open(str(tmp_path / "elsewhere"))
    one = write_report(rich, output=str(tmp_path / "one.html"))
    other = write_report(copied, output=str(tmp_path / "other.html"))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    assert (one.bytes, one.faults) == (other.bytes, ())
    assert str(tmp_path) not in (tmp_path / "other.html").read_text()


def test_date_is_that_of_the_run(copy: Workspace) -> None:
    record = read_run_record(copy)
    write_run_record(copy, dataclasses.replace(record, finished_at="2023-11-14T22:13:20+00:00"))
    assert "2023-11-14 22:13 UTC" in page_of(copy)


def test_report_goes_into_the_workspace_and_stays_small(copy: Workspace) -> None:
    written = write_report(copy)
    path = Path(copy.url, "report/index.html")
    assert written.url == str(path)
    assert path.stat().st_size == written.bytes < 1_000_000


def test_sum_that_does_not_add_up_is_shown_where_it_stands(rich: Workspace) -> None:
    facts = gather(rich)
    wrong = Check(
        step="small / first", where="small / first", total=("tokens", 9), terms=(("eod", 2),)
    )
    page = Page(page_of(rich, dataclasses.replace(facts, checks=(*facts.checks, wrong))))
    assert f"1 of {len(facts.checks) + 1} sums do not add up" in page.text
    assert "leaves 7 unaccounted for" in " ".join(page.text.split())
    assert page.row("tokens written")[0].endswith("does not add up")
    alerts = [attrs for _, attrs in page.tags if attrs.get("role") == "alert"]
    assert len(alerts) == 3  # the verdict, and the fault at the top and in its panel


def test_what_did_not_run_is_said_and_has_no_section(copy: Workspace) -> None:
    record = read_run_record(copy)
    bare = dataclasses.replace(
        record, annotate={}, duplicates="", mixtures={}, shards={}, refused={}, crawl={}
    )
    write_run_record(copy, bare)
    page = Page(page_of(copy))
    ids = {attrs.get("id") for attrs in page.all("section")}
    assert ids == {"funnel", "origins", "rejects", "cost", "trace"}
    said = page.text.split("Not run")[1].split("\n")[0]
    for name in ("domains", "personal data", "contamination (no benchmark is configured)"):
        assert name in said
    assert "crawl" not in said, "a corpus without a crawled source lacks nothing"
    assert "PDF" not in said


def test_refused_mixture_says_why(page: Page) -> None:
    assert "impossible: refused" in page.text
    assert "found no eligible document" in page.text


def test_long_tables_fold_and_hold_all_rows(rich: Workspace) -> None:
    facts = gather(rich)
    values = {**facts.labels.values, "topic": {f"topic {n:02}": 100 - n for n in range(40)}}
    labels = dataclasses.replace(facts.labels, values=values)
    page = Page(page_of(rich, dataclasses.replace(facts, labels=labels)))
    assert [page.row(f"topic {n:02}")[0] for n in range(40)] == [str(100 - n) for n in range(40)]
    assert f"25 more, {sum(100 - n for n in range(15, 40)):,} documents" in page.text


def test_pages_of_pdf_files_are_shown_where_there_are_some(rich: Workspace) -> None:
    facts = gather(rich)
    pages = {"pages": 12, "pages_text": 5, "pages_ocr": 2, "pages_blank": 1, "pages_rejected": 4}
    reasons = {**facts.intake.reasons, "page_rejects": {"no_text": 2, "broken_page": 1}}
    counts = {**facts.intake.counts, **pages}
    intake = dataclasses.replace(facts.intake, counts=counts, reasons=reasons)
    page = Page(page_of(rich, dataclasses.replace(facts, intake=intake)))
    assert page.row("read by OCR") == ["2", "17 %"]
    assert page.row("no_text") == ["2", "50 %"]
    assert page.row("broken_page") == ["1", "25 %"]
    assert page.row("in files that were rejected") == ["1", "25 %"]


def test_money_is_shown_only_for_a_price(rich: Workspace, page: Page) -> None:
    priced = Page(page_of(rich, price=Price(core_hour=360.0, currency="EUR", cores=2)))
    seconds = sum(job.seconds for job in gather(rich).jobs)
    assert f"{seconds * 0.2:.4f} EUR" in priced.text or f"{seconds * 0.2:.2f} EUR" in priced.text
    assert "EUR" not in page.text
    assert "USD" not in page.text


def test_who_wrote_the_texts_is_shown_by_stage(rich: Workspace) -> None:
    facts = gather(rich)
    first, second = facts.stages
    first = dataclasses.replace(first, tokens_by={"kind": {"natural": 70, "synthetic": 30}})
    second = dataclasses.replace(second, tokens_by={})
    origin = OriginFacts(source="notes", kind="synthetic", model="<m>", recipe="")
    changed = dataclasses.replace(
        facts,
        kinds={"natural": 12, "synthetic": 2},
        origins=(origin,),
        stages=(first, second),
    )
    page = Page(page_of(rich, changed))
    assert page.row("natural: written by people") == ["12", "70", "not recorded"]
    assert page.row("transcribed: read by OCR") == ["0", "0", "not recorded"]
    assert page.row("synthetic: made up by a model") == ["2", "30", "not recorded"]
    assert ["notes", "synthetic", "<m>", "not named"] in page.rows
    assert "People wrote 12 of 14 documents (86 %)." in page.text
    older = dataclasses.replace(changed, kinds={}, origins=(), stages=(second,))
    assert "Where texts come from" not in Page(page_of(rich, older)).text


def test_topics_add_up_to_all_documents(rich: Workspace) -> None:
    facts = gather(rich)
    values = {**facts.labels.values, "topic": {"tides": 10, "": 4}, "format": {"": 14}}
    labels = dataclasses.replace(facts.labels, values=values)
    changed = dataclasses.replace(facts, labels=labels)
    page = Page(page_of(rich, changed))
    assert page.row("tides") == ["10", "71 %"]
    name = "no topic (score too low, or a language without one)"
    assert page.row(name) == ["4", "29 %"]
    assert "no format model is configured (tokenmill train domain makes one)" in page.text
    with_model = Page(page_of(rich, dataclasses.replace(changed, domain_model=True)))
    assert "no format model" not in with_model.text


def test_what_is_left_of_a_crawl_and_of_personal_data_is_said(page: Page) -> None:
    assert "8 more addresses were known and not asked for: the crawl's max_pages" in page.text
    assert (
        page.text.count("small / first leaves ip, phone, card, iban and national_id as they are.")
        == 2
    )
    assert (
        page.text.count(
            "small / second leaves email, ip, phone, card, iban, national_id and key as they are."
        )
        == 2
    )
    assert "Nothing was cut in small / second." in page.text


def test_sequences_are_those_of_megatron(rich: Workspace) -> None:
    facts = gather(rich)
    stage = dataclasses.replace(facts.stages[0], sequences=4321, short_shards=2, short_tokens=84)
    page = Page(page_of(rich, dataclasses.replace(facts, stages=(stage,))))
    assert "4,321" in page.text.split("sequences filled")[1][:20]
    told = "2 shards (84 tokens) are shorter than one sequence and are not trained on."
    assert told in page.text


def test_a_column_that_is_null_everywhere_has_no_histogram(rich: Workspace) -> None:
    facts, record = gather(rich), read_run_record(rich)
    null = {**facts.labels.histograms, "of_no_document": {}}
    facts = dataclasses.replace(facts, labels=dataclasses.replace(facts.labels, histograms=null))
    samples = read_samples(rich, record, facts.labels, 1)
    assert "of_no_document" not in render(facts, samples, read_rejects(rich, record, 1))


def test_duplicates_are_told_by_level_with_pairs_skipped_and_repeated_passages(
    rich: Workspace,
) -> None:
    spans = SpansFound(documents=3, spans=1234, span_bytes=50, text_bytes=400)
    found = DuplicatesFound(
        documents=14,
        roles={},
        levels={"bytes": 4, "near": 3, "url": 1},
        clusters=2,
        pairs_skipped=1_000_000,
        spans={"boilerplate": spans},
    )
    facts = gather(rich)
    page = Page(page_of(rich, dataclasses.replace(facts, found=found)))
    assert page.row("the same bytes")[0] == "4"
    assert page.row("a similar text")[0] == "3"
    assert page.row("a newer copy of its URL")[0] == "1"
    text = " ".join(page.text.split())
    assert "1,000,000 pairs of texts in crowded buckets were not compared." in text
    assert "Boilerplate: 1,234 passages in 3 documents, 12.5 % of the text." in text
    none = dataclasses.replace(found, levels={}, pairs_skipped=0, spans={})
    bare = " ".join(Page(page_of(rich, dataclasses.replace(facts, found=none))).text.split())
    assert "Documents that another stands for" not in bare
    assert "crowded buckets" not in bare
    assert "Boilerplate" not in bare
