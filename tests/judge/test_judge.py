"""The judge over a real HTTP server on the loopback address: answers, rejects, resuming."""

import asyncio
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from aiohttp import web
from click.testing import Result
from typer.testing import CliRunner

from annotators.domain.taxonomy import FORMATS, TOPICS
from annotators.quality.training import train_educational
from pipelines.commands.judge import register
from pipelines.judge.asking import Answer, Asker, Endpoint, EndpointError
from pipelines.judge.echo import ECHO_MODEL, EchoServer, completion
from pipelines.judge.job import JOURNAL, Outcome, judge, read_journal
from pipelines.judge.rubric import NoObject, Rubric, find_object, load_rubric
from pipelines.judge.sample import draw_sample

Said = str | int | dict[str, Any]
"""What a server says: a text, an HTTP status, or parts of a message."""

SMALL: dict[str, Any] = {
    "name": "small",
    "version": 1,
    "max_characters": 50,
    "instructions": "Judge it.",
    "questions": {
        "educational": {"ask": "How much?", "points": {"least": 0, "most": 5}},
        "quality": {"ask": "Is it?", "choices": {"good": "well", "bad": "ill"}},
    },
}
RUBRIC = Rubric.model_validate(SMALL)
VALID = json.dumps(
    {
        "educational": {"reason": "It\nteaches.", "answer": 4},
        "quality": {"reason": "clear", "answer": "good"},
    }
)


class Scripted(EchoServer):
    """Answers one thing after another, and keeps what it was asked."""

    def __init__(self, *answers: Said) -> None:
        self.left: list[Said] = list(answers)
        self.asked: list[dict[str, Any]] = []

    async def answer(self, asked: dict[str, Any]) -> web.Response:
        self.asked.append(asked)
        one = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(one, int):
            return web.json_response({"error": {"message": "no"}}, status=one)
        return completion(asked, **one) if isinstance(one, dict) else completion(asked, one)


def ask(server: EchoServer, text: str = "A text.", rubric: Rubric = RUBRIC) -> Answer:
    async def run() -> Answer:
        async with server.serving() as url, aiohttp.ClientSession() as session:
            return await Asker(session, Endpoint(url=url, model="m", pause_s=0), rubric).ask(text)

    return asyncio.run(run())


def judge_with(server: EchoServer, inputs: Path, output: Path, size: int | None = None) -> Outcome:
    """Judges a file by a server that is served meanwhile, on its own loop."""
    ready, done = threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with server.serving() as url:
            urls.append(url)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        sample = draw_sample([str(inputs)], size)
        endpoint = Endpoint(url=urls[0], model="m", pause_s=0, api_key="secret-key")
        return judge(sample, RUBRIC, endpoint, output, concurrency=3)
    finally:
        done.set()
        thread.join()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rows(count: int) -> list[dict[str, Any]]:
    return [{"id": f"d{at}", "text": f"Text {at}, 文 {at}.", "url": f"http://h{at}/"}
            for at in range(count)]  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_answer_of_the_schema_is_checked_and_its_reasons_are_one_line() -> None:
    server = Scripted(VALID)
    found = ask(server)
    assert found.judged is not None
    assert found.judged.values == {"educational": 4, "quality": "good"}
    assert found.judged.reasons == {"educational": "It teaches.", "quality": "clear"}
    assert (found.tries, found.answered_by) == (1, ECHO_MODEL)
    assert found.prompt_tokens > 0 < found.completion_tokens
    asked = server.asked[0]
    schema = asked["response_format"]["json_schema"]["schema"]
    assert "$ref" not in json.dumps(schema)
    assert schema["properties"]["educational"]["properties"]["answer"]["enum"] == [0, 1, 2, 3, 4, 5]
    assert schema["required"] == ["educational", "quality"]
    assert asked["model"] == "m"
    assert asked["temperature"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        f"```json\n{VALID}\n```",
        f"<think>Perhaps {{}} or {{a}}?</think>\nHere it is: {VALID} I hope it helps.",
        f"{VALID}\n",
    ],
)
def test_an_object_within_a_text_is_found(answer: str) -> None:
    assert RUBRIC.judged(answer).values == {"educational": 4, "quality": "good"}


def test_the_last_whole_object_counts_and_none_is_told() -> None:
    assert find_object('{"a": 1} and {"b": {"c": 2}}') == {"b": {"c": 2}}
    for text in ("", "no", "[1, 2]", '{"a": ', "{" * 3000):
        with pytest.raises(NoObject):
            find_object(text)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"text": "", "refusal": "I cannot."}, "refused"),
        ({"text": "", "finish_reason": "content_filter"}, "refused"),
        ({"text": VALID[:40], "finish_reason": "length"}, "cut_off"),
        ("I would say it is good.", "no_json"),
        (VALID.replace("4", "6"), "invalid"),
        (VALID.replace("4", '"4"'), "invalid"),
        (VALID.replace("good", "fair"), "invalid"),
        ('{"educational": {"reason": "x", "answer": 1}}', "invalid"),
    ],
)
def test_what_is_no_answer_is_asked_once_more_and_then_a_reject(answer: Said, reason: str) -> None:
    server = Scripted(answer)
    found = ask(server)
    assert (found.judged, found.reason, found.tries) == (None, reason, 2)
    assert found.message
    assert len(server.asked) == 2
    assert server.asked[1]["messages"][:2] == server.asked[0]["messages"]
    assert found.message[:20] in server.asked[1]["messages"][-1]["content"]
    mended = ask(Scripted(answer, VALID))
    assert mended.judged is not None
    assert mended.tries == 2
    assert mended.prompt_tokens > found.prompt_tokens // 3


def test_a_server_without_structured_answers_is_asked_without_from_then_on() -> None:
    class Old(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            found = await super().answer(asked)
            return web.Response(status=400) if "response_format" in asked else found

    server = Old(f"Sure: {VALID}")

    async def run() -> list[Answer]:
        async with server.serving() as url, aiohttp.ClientSession() as session:
            asker = Asker(session, Endpoint(url=url, model="m"), RUBRIC)
            return [await asker.ask("one"), await asker.ask("two")]

    assert all(one.judged and one.tries == 1 for one in asyncio.run(run()))
    assert ["response_format" in one for one in server.asked] == [True, False, False]


def test_failures_of_the_endpoint_are_tried_again_and_then_stop_all() -> None:
    server = Scripted(503, 429, 500, VALID)
    assert ask(server).judged is not None
    assert len(server.asked) == 4
    with pytest.raises(EndpointError, match=r"did not answer in 5 tries \(503"):
        ask(Scripted(503))
    with pytest.raises(EndpointError, match="--api-key-env"):
        ask(Scripted(401))
    with pytest.raises(EndpointError, match="knows no chat model 'm'"):
        ask(Scripted(404))
    # A request that it takes in neither form is a fault of the document: too long, for example.
    found = ask(Scripted(413))
    assert (found.reason, found.tries) == ("bad_request", 1)


def test_a_document_cannot_end_itself_and_a_long_one_is_cut() -> None:
    system, user = RUBRIC.messages("short ------------ text")
    mark = user["content"].splitlines()[1]
    assert user["content"].splitlines() == ["The document:", mark, "short ------------ text", mark]
    assert mark not in "short ------------ text"
    assert "0 to 5" in system["content"]
    assert "- good: well" in system["content"]
    cut = RUBRIC.messages("x" * 60)[1]["content"]
    assert "x" * 50 in cut
    assert "x" * 51 not in cut
    assert cut.endswith("cut off here")


def test_sample_is_of_the_documents_whatever_their_order_and_grows_by_new_ones(
    tmp_path: Path,
) -> None:
    whole = write(tmp_path / "a.jsonl", rows(100))
    (tmp_path / "split").mkdir()
    pq.write_table(pa.Table.from_pylist(rows(100)[60:][::-1]), tmp_path / "split" / "b.parquet")
    write(tmp_path / "split" / "c.jsonl", [*rows(60)[::-1], rows(1)[0], {"id": "e", "text": " "}])
    one = draw_sample([str(whole)], 20)
    other = draw_sample([str(tmp_path / "split")], 20)
    assert other.documents == one.documents
    assert (other.num_read, other.num_twice, other.num_without_text) == (102, 1, 1)
    assert len(one.documents) == 20
    assert set(one.documents) < set(draw_sample([str(whole)], 30).documents)
    assert draw_sample([str(whole)], 20, seed=1).documents != one.documents
    assert len(draw_sample([str(tmp_path / "*.jsonl")], None).documents) == 100
    with pytest.raises(ValueError, match=r"there is no .*nothing"):
        draw_sample([str(tmp_path / "nothing")], 1)
    with pytest.raises(ValueError, match="found no text in column 'body' of 100 rows"):
        draw_sample([str(whole)], 1, text_column="body")


def test_second_call_asks_only_what_is_missing(tmp_path: Path) -> None:
    data, output = write(tmp_path / "in.jsonl", rows(9)), tmp_path / "out"
    first = Scripted(VALID)
    assert judge_with(first, data, output, 6).num_judged == 6
    assert len(first.asked) == 6
    second = Scripted(VALID)
    found = judge_with(second, data, output)
    assert (found.num_judged, found.num_asked, len(second.asked)) == (9, 3, 3)
    made = (output / "judged.jsonl").read_bytes()
    third = Scripted(VALID)
    assert judge_with(third, data, output).num_asked == 0
    assert third.asked == []
    assert (output / "judged.jsonl").read_bytes() == made
    # A call that was killed while it wrote: the incomplete line is asked again.
    journal = output / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])
    fourth = Scripted(VALID)
    assert judge_with(fourth, data, output).num_asked == 1
    assert (output / "judged.jsonl").read_bytes() == made
    assert len(read_journal(journal)) == 9
    assert "secret-key" not in "".join(
        path.read_text(encoding="utf-8") for path in output.rglob("*") if path.is_file()
    )


def test_rejects_are_listed_and_counted_and_a_dead_endpoint_keeps_what_was_answered(
    tmp_path: Path,
) -> None:
    class Picky(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            text = asked["messages"][1]["content"]
            if "Text 3" in text:
                return completion(asked, "", refusal="no")
            return web.Response(status=503) if self.left[0] == "dead" else completion(asked, VALID)

    data, output = write(tmp_path / "in.jsonl", rows(5)), tmp_path / "out"
    found = judge_with(Picky("alive"), data, output)
    assert (found.num_judged, found.num_missing, dict(found.rejects)) == (4, 0, {"refused": 1})
    (reject,) = lines(output / "rejects" / "rejects.jsonl")
    assert (reject["id"], reject["reason"], reject["text"]) == ("d3", "refused", "Text 3, 文 3.")
    told = json.loads((output / "judge.json").read_text(encoding="utf-8"))
    assert told["judged"] + sum(told["rejects"].values()) + told["missing"] == 5
    assert told["rubric_hash"] == RUBRIC.hash
    assert told["values"]["educational"] == {"4": 4}
    data = write(tmp_path / "in.jsonl", rows(8))
    dead = judge_with(Picky("dead"), data, output)
    assert dead.error is not None
    assert (dead.num_judged, dead.num_missing) == (4, 3)
    assert judge_with(Picky("alive"), data, output).num_asked == 3


def test_output_has_text_labels_reasons_and_origin_and_training_reads_it(tmp_path: Path) -> None:
    class Taught(EchoServer):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            number = int(asked["messages"][1]["content"].split("Text ")[1].split(",")[0])
            answer = json.loads(VALID)
            answer["educational"]["answer"] = 5 if number % 2 else 0
            return completion(asked, json.dumps(answer))

    documents = rows(40)
    for at, row in enumerate(documents):
        row["text"] += " The cell divides and grows." if at % 2 else " Buy shoes now, cheap shoes."
    output = tmp_path / "out"
    judge_with(Taught(), write(tmp_path / "in.jsonl", documents), output)
    row = next(one for one in lines(output / "judged.jsonl") if one["id"] == "d1")
    assert row == {
        "id": "d1",
        "doc_id": None,
        "url": "http://h1/",
        "text": documents[1]["text"],
        "educational": 5,
        "educational_reason": "It teaches.",
        "quality": "good",
        "quality_reason": "clear",
        "judge": "m",
        "judge_answered_by": ECHO_MODEL,
        "judge_tries": 1,
        "judge_prompt_tokens": row["judge_prompt_tokens"],
        "judge_completion_tokens": row["judge_completion_tokens"],
        "rubric": "small/1",
        "rubric_hash": RUBRIC.hash,
    }
    trained = train_educational([output], tmp_path / "model", licence="x")
    assert len(trained.card.documents.texts) == 40
    assert dict((name, value) for name, value, _ in trained.card.figures["words"].rows())[
        "F1 at 3 points"
    ] > 0.9  # fmt: skip


def test_command_runs_dry_with_rules_and_writes_parquet_too(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", rows(12))
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)

    def run(*more: str) -> Result:
        words = ["judge", "--input", str(data), "--output", str(tmp_path / "out")]
        return CliRunner().invoke(app, [*words, *more])

    made = run("--endpoint", "echo:", "--sample", "7")
    assert made.exit_code == 0, made.output
    assert "judged 7, asked now 7, missing 0" in made.output
    labels = lines(tmp_path / "out" / "judged.jsonl")
    assert {one["judge"] for one in labels} == {ECHO_MODEL}
    assert {one["rubric_hash"] for one in labels} == {load_rubric().hash}
    again = run("--endpoint", "echo:", "--sample", "7", "--format", "parquet")
    assert "asked now 0" in again.output
    table = pq.read_table(tmp_path / "out" / "judged.parquet")
    assert table.to_pylist() == labels
    assert not (tmp_path / "out" / "judged.jsonl").exists()
    for words, said in (
        (("--endpoint", "localhost"), "--endpoint: found 'localhost'"),
        (("--endpoint", "http://127.0.0.1:9/v1"), "--model: name the model"),
        (("--endpoint", "echo:", "--format", "csv"), "--format: found 'csv'"),
        (("--endpoint", "echo:", "--api-key-env", "NO_SUCH_KEY"), "no variable NO_SUCH_KEY"),
        (("--endpoint", "echo:", "--rubric", str(data)), "--rubric"),
    ):
        assert said in str(run(*words).exception)


def test_shipped_rubric_asks_for_every_label_with_the_names_of_the_taxonomy() -> None:
    rubric = load_rubric()
    assert list(rubric.questions) == [
        "educational", "field", "topic", "format", "safety", "quality",
    ]  # fmt: skip
    choices = {name: set(one.choices or ()) for name, one in rubric.questions.items()}
    assert choices["topic"] == set(TOPICS)
    assert choices["format"] == set(FORMATS)
    assert choices["quality"] == {"good", "bad"}
    assert "safe" in choices["safety"]
    points = rubric.questions["educational"].points
    assert points is not None
    assert (points.least, points.most) == (0, 5)


def test_hash_is_of_the_meaning_and_broken_rubrics_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rubric.yaml"
    path.write_text(f"# a comment\n{json.dumps(SMALL, indent=3)}", encoding="utf-8")
    assert load_rubric(path).hash == RUBRIC.hash
    changed = SMALL | {"instructions": "Judge it well."}
    assert Rubric.model_validate(changed).hash != RUBRIC.hash
    for wrong, said in (
        (SMALL | {"questions": {}}, "questions"),
        (SMALL | {"questions": {"text": SMALL["questions"]["quality"]}}, "a name becomes a column"),
        (SMALL | {"questions": {"a": {"ask": "?"}}}, "either `points` or `choices`"),
        (SMALL | {"questions": {"a": {"ask": "?", "choices": {"x": ""}}}}, "at least two"),
        (SMALL | {"other": 1}, "other"),
    ):
        path.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            load_rubric(path)
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(ValueError, match="no YAML"):
        load_rubric(path)
    with pytest.raises(ValueError, match="cannot be read"):
        load_rubric(tmp_path / "nowhere.yaml")


def test_rules_give_the_same_answers_in_the_form_that_was_asked_for() -> None:
    text = "well well good text " * 5
    found = [ask(EchoServer(), text, load_rubric()).judged for _ in range(2)]
    assert found[0] == found[1]
    assert found[0] is not None
    assert Counter(found[0].reasons.values()).most_common(1)[0][0].startswith(ECHO_MODEL)
