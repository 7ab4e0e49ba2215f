"""The judge over a real HTTP server on the loopback address: answers, rejects, resuming."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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
from annotators.quality.training import train_educational, train_quality
from pipelines.commands.judge import register
from pipelines.judge.asking import MOST_FAILURES, Answer, Asker, Endpoint, EndpointError
from pipelines.judge.echo import ECHO_MODEL, EchoServer, completion
from pipelines.judge.job import JOURNAL, Outcome, judge, read_journal
from pipelines.judge.rubric import NoObject, Rubric, find_object, load_rubric
from pipelines.judge.sample import draw_sample

KEY = "secret-key"

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
    return ask_each(server, text, rubric=rubric)[0]


def ask_each(
    server: EchoServer,
    *texts: str,
    rubric: Rubric = RUBRIC,
    notices: list[str] | None = None,
    patience_s: float = 900,
) -> list[Answer]:
    async def run() -> list[Answer]:
        async with server.serving() as url, aiohttp.ClientSession() as session:
            endpoint = Endpoint(url=url, model="m", pause_s=0, patience_s=patience_s)
            notice = (notices if notices is not None else []).append
            asker = Asker(session, endpoint, rubric, notice)
            return [await asker.ask(text) for text in texts]

    return asyncio.run(run())


@contextmanager
def served(server: EchoServer) -> Iterator[str]:
    """Serves on a loop of its own, and gives the endpoint."""
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
        yield urls[0]
    finally:
        done.set()
        thread.join()


def judge_with(server: EchoServer, inputs: Path, output: Path, size: int | None = None) -> Outcome:
    """Judges a file by a server."""
    with served(server) as url:
        sample = draw_sample([str(inputs)], size)
        endpoint = Endpoint(url=url, model="m", pause_s=0, api_key=KEY)
        return judge(sample, RUBRIC, endpoint, output, concurrency=3)


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
    notices: list[str] = []
    answers = ask_each(server, "one", "two", "three", notices=notices)
    assert all(one.judged and one.tries == 1 for one in answers)
    assert ["response_format" in one for one in server.asked] == [True, False, False, False]
    assert len(notices) == 1
    assert "refuses response_format (400" in notices[0]


def is_about(asked: dict[str, Any], word: str) -> bool:
    return word in asked["messages"][1]["content"]


@pytest.mark.parametrize("takes_it_plain", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_structured_request_refused_for_one_document_is_no_rule_for_all(
    takes_it_plain: bool, first: bool
) -> None:
    class Odd(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            found = await super().answer(asked)
            is_refused = "response_format" in asked or not takes_it_plain
            return web.Response(status=400) if is_about(asked, "odd") and is_refused else found

    server, notices = Odd(VALID), list[str]()
    texts = ["odd", "one", "two"] if first else ["one", "odd", "two"]
    found = dict(zip(texts, ask_each(server, *texts, notices=notices), strict=True))
    assert found["one"].judged == found["two"].judged is not None
    assert found["odd"].reason == (None if takes_it_plain else "bad_request")
    of_others = ["response_format" in one for one in server.asked if not is_about(one, "odd")]
    # Only where no structured request was answered before can the refusal be the server's.
    is_left = takes_it_plain and first
    assert of_others == [not is_left] * 2
    assert len(notices) == int(is_left)


@pytest.mark.parametrize("how", ["status", "html", "no choices", "403"])
def test_a_document_that_the_endpoint_fails_on_is_a_reject_while_others_are_answered(
    how: str,
) -> None:
    failures = {
        "status": lambda: web.Response(status=500),
        "html": lambda: web.Response(text="<html>Oops</html>", content_type="text/html"),
        "no choices": lambda: web.json_response({"choices": []}),
        "403": lambda: web.Response(status=403),
    }

    class Failing(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            found = await super().answer(asked)
            return failures[how]() if is_about(asked, "bad") else found

    server = Failing(VALID)
    texts = ["one", *["bad one", "two"] * MOST_FAILURES]  # never two failures in a row
    found = ask_each(server, *texts)
    assert [one.reason for one in found] == [None, *["endpoint", None] * MOST_FAILURES]
    assert found[1].message
    assert found[1].judged is None
    num_tries = 1 if how == "403" else 5
    assert len(server.asked) == MOST_FAILURES * (1 + num_tries) + 1


def test_failures_of_the_endpoint_are_tried_again_and_then_stop_all() -> None:
    server = Scripted(503, 429, 500, VALID)
    assert ask(server).judged is not None
    assert len(server.asked) == 4
    server = Scripted(VALID, 503)
    found = ask_each(server, *["text"] * MOST_FAILURES)
    assert [one.reason for one in found] == [None] + ["endpoint"] * (MOST_FAILURES - 1)
    with pytest.raises(EndpointError, match=r"on 10 documents in a row \(last: .*5 tries \(503"):
        ask_each(server, *["text"] * MOST_FAILURES)
    with pytest.raises(EndpointError, match="--api-key-env"):
        ask(Scripted(401))
    with pytest.raises(EndpointError, match="knows no chat model 'm'"):
        ask(Scripted(404))
    # A request that it takes in neither form is a fault of the document: too long, for example.
    found = ask(Scripted(413))
    assert (found.reason, found.tries) == ("bad_request", 1)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("told", "is_pause"),
    [("0.001", True), ("0", False), ("nan", False), ("-inf", False), ("soon", False),
     ("Fri, 31 Dec 1999 23:59:59 GMT", False)],
)  # fmt: skip
def test_a_busy_endpoint_is_waited_for_as_it_says_and_that_is_no_try(
    status: int, told: str, is_pause: bool
) -> None:
    class Busy(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            if len(self.asked) < 12:
                self.asked.append(asked)
                return web.Response(status=status, headers={"Retry-After": told})
            return await super().answer(asked)

    server = Busy(VALID)
    (found,) = ask_each(server, "text")
    assert (found.reason, len(server.asked)) == ((None, 13) if is_pause else ("endpoint", 5))
    server = Busy(VALID)
    (found,) = ask_each(server, "text", patience_s=3)  # a pause counts for a second at least
    assert (found.reason, len(server.asked)) == ("endpoint", 3 + 5 if is_pause else 5)


@pytest.mark.parametrize("status", [301, 302, 307, 402, 405, 501])
def test_a_refusal_of_the_endpoint_is_no_fault_of_a_document(status: int, tmp_path: Path) -> None:
    class Elsewhere(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            return web.Response(status=status, headers={"Location": "https://else.example/v1"})

    data, output = write(tmp_path / "in.jsonl", rows(3)), tmp_path / "out"
    stopped = judge_with(Elsewhere(VALID), data, output)
    assert stopped.error is not None
    assert f"{status} https://else.example/v1" in stopped.error
    assert (stopped.num_missing, dict(stopped.rejects)) == (3, {})
    assert judge_with(Scripted(VALID), data, output).num_judged == 3


def test_documents_that_are_refused_are_asked_again_and_many_without_an_answer_stop(
    tmp_path: Path,
) -> None:
    class Narrow(Scripted):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            found = await super().answer(asked)
            return found if is_about(asked, "Text 0") else web.Response(status=413)

    data, output = write(tmp_path / "in.jsonl", rows(MOST_FAILURES + 3)), tmp_path / "out"
    stopped = judge_with(Scripted(400), data, output)
    assert stopped.error is not None
    assert "on 10 documents in a row (last: 400" in stopped.error
    assert stopped.num_missing > 0
    data = write(tmp_path / "in.jsonl", rows(MOST_FAILURES + 3)[:1])
    assert judge_with(Narrow(VALID), data, output).num_judged == 1
    data = write(tmp_path / "in.jsonl", rows(MOST_FAILURES + 3))
    found = judge_with(Narrow(VALID), data, output)  # it has answered before: they are too long
    assert found.error is None
    assert dict(found.rejects) == {"bad_request": MOST_FAILURES + 2}
    again = judge_with(Scripted(VALID), data, output)
    assert (again.num_asked, again.num_judged) == (MOST_FAILURES + 2, MOST_FAILURES + 3)


@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_a_key_that_comes_back_is_neither_written_nor_shown(status: int, tmp_path: Path) -> None:
    class Telling(EchoServer):
        async def answer(self, asked: dict[str, Any]) -> web.Response:
            if status == 200:
                return completion(asked, f"not {KEY}", refusal=f"no {KEY}")
            return web.Response(status=status, text="x" * 495 + f" Bearer {KEY}")

    output = tmp_path / "out"
    found = judge_with(Telling(), write(tmp_path / "in.jsonl", rows(12)), output)
    said = [path.read_text(encoding="utf-8") for path in output.rglob("*") if path.is_file()]
    said.append(found.error or "")
    assert not any(KEY[:3] in one for one in said)
    assert any("no ***" in one or "xxx" in one for one in said)


def test_lone_surrogates_are_replaced_where_documents_are_read(tmp_path: Path) -> None:
    lines_of = ['{"id": "a\\udc00", "text": "x \\ud800 \\ud83d\\ude00"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines_of), encoding="utf-8")
    (document,) = draw_sample([str(tmp_path / "in.jsonl")], None).documents
    assert (document.id, document.text) == ("a\ufffd", "x \ufffd \U0001f600")
    found = judge_with(Scripted(VALID), tmp_path / "in.jsonl", tmp_path / "out")
    assert found.num_judged == 1


def test_points_are_whole_numbers_and_long_answers_are_looked_through_in_time() -> None:
    for value in ("true", "4.0", '"4"', "null"):
        with pytest.raises(ValueError, match="not a whole number"):
            RUBRIC.judged(VALID.replace("4", value))
    for text in ("{" * 200_000, '{"a":' * 200_000, '{"' * 200_000):
        with pytest.raises(NoObject):
            find_object(text)
    assert find_object("{" * 200_000 + '{"a": 1}') == {"a": 1}


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
    assert KEY not in "".join(
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
    assert (dead.error, dead.num_judged, dead.num_missing, dead.num_asked) == (None, 4, 0, 3)
    assert dict(dead.rejects) == {"endpoint": 3, "refused": 1}
    listed = lines(output / "rejects" / "rejects.jsonl")
    assert sorted(one["id"] for one in listed if one["reason"] == "endpoint") == ["d5", "d6", "d7"]
    data = write(tmp_path / "in.jsonl", rows(5 + MOST_FAILURES))
    dead = judge_with(Picky("dead"), data, output)
    assert dead.error is not None
    assert dead.num_judged == 4
    assert dead.num_judged + sum(dead.rejects.values()) + dead.num_missing == 5 + MOST_FAILURES
    alive = judge_with(Picky("alive"), data, output)  # what failed is asked again
    assert alive.num_asked == MOST_FAILURES
    assert (alive.num_judged, dict(alive.rejects)) == (4 + MOST_FAILURES, {"refused": 1})


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


def test_command_fails_where_every_document_is_rejected(tmp_path: Path) -> None:
    data = write(tmp_path / "in.jsonl", rows(3))
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    words = ["judge", "--input", str(data), "--output", str(tmp_path / "out"), "--model", "m"]
    with served(Scripted(422)) as url:
        made = CliRunner().invoke(app, [*words, "--endpoint", url])
    assert made.exit_code == 1
    assert str(made.exception).startswith("every document was rejected (bad_request 3): ")
    assert "rejected, in rejects/: bad_request 3" in made.output


def test_labels_of_rules_differ_on_ordinary_pages(tmp_path: Path) -> None:
    pages = [" ".join(f"palabra{word}" for word in range(at)) + " y más" for at in range(1, 30)]
    data = write(tmp_path / "in.jsonl", [{"text": text} for text in pages])
    endpoint = Endpoint(url="echo:", model=ECHO_MODEL)
    found = judge(draw_sample([str(data)], None), load_rubric(), endpoint, tmp_path / "out")
    assert min(found.values["quality"].values()) >= 10
    assert len(found.values["quality"]) == 2
    assert len(found.values["topic"]) > 10
    trained = train_quality([tmp_path / "out"], tmp_path / "model", licence="x")
    assert len(trained.card.documents.texts) == len(pages)


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
