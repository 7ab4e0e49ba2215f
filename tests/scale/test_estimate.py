"""`tokenmill estimate` without models: on paper, of a corpus.yaml, as the document shows it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.commands.estimate import estimate
from pipelines.config import load_corpus
from pipelines.scale.facts import facts_of
from pipelines.scale.tables import count, size

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "scale.md"
SHOWN = re.compile(
    r"^```console\n\$ (tokenmill estimate [^\n]*)\n```\n\n```text\n(.*?)^```", re.M | re.S
)
CODE = "from pipelines.cli import main; main()"


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}]; {CODE}"]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.run(
        [*command, "estimate", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env=environment,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "texts").mkdir()
    (folder / "texts" / "one.jsonl").write_text('{"text": "Ein Satz."}\n' * 1000)
    (folder / "texts" / "two.html").write_text("<p>Satz</p>" * 4000)
    (folder / "corpus.yaml").write_text(
        "name: small\n"
        "sources:\n"
        "  - {name: web, path: texts}\n"
        f"tokenizer: {ROOT / 'examples' / 'tokenizer'}\n"
        "mixtures: []\n"
    )
    return folder / "corpus.yaml"


def test_facts_are_what_the_inventory_expects(corpus: Path) -> None:
    facts = facts_of(load_corpus(corpus), document_bytes=100)
    json_bytes = len('{"text": "Ein Satz."}\n') * 1000
    html_bytes = len("<p>Satz</p>") * 4000 * 0.1
    assert facts.text_bytes == json_bytes + html_bytes
    assert facts.documents == pytest.approx((json_bytes + html_bytes) / 100)
    assert facts.html_pages == pytest.approx(html_bytes / 100)


def test_a_corpus_without_models_is_estimated(corpus: Path, tmp_path: Path) -> None:
    done = run(str(corpus), "--cores", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "annotate" in done.stdout
    assert "2 cores" in done.stdout
    assert "No money: prices are not stated" in done.stdout
    assert not list(tmp_path.iterdir()), "an estimate without models makes no workspace"


def test_money_is_told_at_stated_prices(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "{currency: CHF, stated: my own machine, core_hour: 1, storage_gb_month: 0,"
        " write_requests_1000: 0, read_requests_1000: 0}"
    )
    done = run("--text", "1TB", "--prices", str(file))
    hours = re.search(r"^all +([\d,.]+) ", done.stdout, re.M)
    money = re.search(r"^([\d,.]+) CHF", done.stdout, re.M)
    assert hours
    assert money
    assert "my own machine" in done.stdout
    wanted = float(hours[1].replace(",", ""))
    assert float(money[1].replace(",", "")) == pytest.approx(wanted, rel=0.05, abs=0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "neither a corpus.yaml nor --text"),
        ({"corpus": Path("corpus.yaml"), "text": "1TB"}, "not both"),
        ({"text": "much"}, "--text: found 'much'"),
        ({"text": "0TB"}, "--text: found '0TB'"),
        ({"text": "1TB", "html": "200%"}, "--html: found '200%'"),
        ({"text": "1TB", "documents": "0"}, "--documents: found '0'"),
        ({"text": "1TB", "part_bytes": "-1"}, "--part-bytes: found '-1'"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        estimate(**options)


def test_a_file_of_prices_that_is_missing_ends_with_a_plain_message() -> None:
    done = run("--text", "1TB", "--prices", "nope.yaml")
    assert done.returncode == 2
    assert "found nope.yaml, which cannot be read" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_assumed_share_of_html_is_told(corpus: Path) -> None:
    assert "(0% HTML; a web corpus: --html 95%), 3,725 parts" in run("--text", "1TB").stdout
    assert "(95% HTML)" in run("--text", "1TB", "--html", "95%").stdout
    listed = run(str(corpus)).stdout
    assert "% HTML)" in listed
    assert "--html" not in listed


def test_parts_count_as_in_a_corpus(corpus: Path) -> None:
    from pipelines.commands.estimate import _on_paper

    on_paper = _on_paper("1TB", None, "0%", 1.0, "256MB")
    assert on_paper.part_bytes == load_corpus(corpus).part_bytes == 256 * 2**20


def test_the_most_of_a_limit_has_its_unit() -> None:
    from pipelines.scale.bill import Machine, make_bill
    from pipelines.scale.facts import CorpusFacts
    from pipelines.scale.tables import limit_rows
    from pipelines.scale.units import load_units

    facts = CorpusFacts(text_bytes=1e14, documents=25e9)
    rows = {row[0]: row for row in limit_rows(make_bill(facts, load_units(), Machine()).limits)}
    assert rows["sweep of similar pairs, one task"][1:3] == ("2.9 GiB", "16 GiB")
    assert rows["partition of bands"][2] == "1,024 MiB"


def test_the_document_shows_what_the_command_prints() -> None:
    shown = SHOWN.findall(DOCUMENT.read_text())
    assert len(shown) >= 3
    for line, printed in shown:
        done = run(*shlex.split(line)[2:])
        assert done.stdout.strip() == printed.strip(), line


def test_the_document_names_every_unit_cost() -> None:
    from pipelines.scale.units import load_units

    text = DOCUMENT.read_text()
    for name, cost in load_units().costs.items():
        row = re.search(rf"^\| `{re.escape(name)}` \| ([^|]+) \|", text, re.M)
        assert row is not None, name
        assert row[1].strip() == f"{cost.value:,g}", name


def test_sizes_and_counts_in_words() -> None:
    assert [size(n) for n in (0, 999, 1e3, 2.5e9, 1e14)] == [
        "0",
        "999 B",
        "1 kB",
        "2.5 GB",
        "100 TB",
    ]
    assert [count(n) for n in (0, 12, 1e6, 2.5e7, 3.6e13)] == [
        "0",
        "12",
        "1,000,000",
        "25 M",
        "36 T",
    ]
