"""A rubric: what a judge is asked about a document, and what counts as an answer.

A rubric is a YAML file. Each question is answered by points in a range or by one of some choices,
each with a line that says why; the line comes first, because a model that gives its reason first
answers better (Wei et al. 2022, arXiv:2201.11903). All questions are one request, and one JSON
object is the answer: its JSON Schema is sent along as `response_format`, and pydantic checks what
comes back. The hash of the rubric is over its meaning, not over comments and layout of the file.
"""

import functools
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

SHIPPED: Final = Path(__file__).parent / "rubric.yaml"

_REASON_CHARACTERS: Final = 600
_LINE: Final = "-" * 12
_ANSWER_CHARACTERS: Final = 100_000
_MOST_STARTS: Final = 1000
_OBJECT_START: Final = re.compile(r'\{\s*["}]')


class Points(BaseModel):
    """A range of whole points."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    least: int
    most: int

    @model_validator(mode="after")
    def _is_range(self) -> "Points":
        if self.least >= self.most:
            raise ValueError(f"least is {self.least} and most {self.most}; least has to be smaller")
        return self


class Question(BaseModel):
    """One question, answered by points or by a choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ask: str = Field(min_length=1)
    points: Points | None = None
    choices: dict[str, str] | None = None
    """Name of a choice -> what it means."""

    @model_validator(mode="after")
    def _has_one_kind(self) -> "Question":
        if (self.points is None) == (self.choices is None):
            raise ValueError("a question has either `points` or `choices`")
        if self.choices is not None and len(self.choices) < 2:
            raise ValueError("a question has at least two choices")
        return self

    @property
    def answers(self) -> Any:  # noqa: ANN401 - a type made at run time
        """The type of its answer."""
        if self.points:
            points: Any = Literal[tuple(range(self.points.least, self.points.most + 1))]
            return Annotated[points, BeforeValidator(_whole)]
        return Literal[tuple(self.choices or ())]


class Judged(NamedTuple):
    """A valid answer."""

    values: dict[str, int | str]
    """Question -> answer."""
    reasons: dict[str, str]
    """Question -> why, on one line."""


class Rubric(BaseModel):
    """All questions, and how they are put."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    version: int = Field(ge=1)
    max_characters: int = Field(ge=1)
    """Of a document; a longer one is cut, and the judge is told."""
    instructions: str = Field(min_length=1)
    questions: dict[str, Question] = Field(min_length=1)
    """Column of the label -> question."""

    @model_validator(mode="after")
    def _names_are_columns(self) -> "Rubric":
        wrong = [name for name in self.questions if not name.isidentifier() or name in _TAKEN]
        if wrong:
            raise ValueError(
                f"questions cannot be called {wrong}: a name becomes a column; letters, digits and "
                f"_ are allowed, and not {sorted(_TAKEN)}"
            )
        return self

    @functools.cached_property
    def hash(self) -> str:
        """sha256, 16 hexadecimal digits, of the rubric as canonical JSON."""
        told = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @functools.cached_property
    def _answer(self) -> type[BaseModel]:
        fields: dict[str, Any] = {
            name: (
                create_model(
                    name,
                    __config__=ConfigDict(extra="forbid"),
                    reason=(str, Field(max_length=_REASON_CHARACTERS)),
                    answer=(question.answers, ...),
                ),
                ...,
            )
            for name, question in self.questions.items()
        }
        return create_model("Judgement", __config__=ConfigDict(extra="forbid"), **fields)

    @functools.cached_property
    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of an answer, of one piece: not every server resolves references."""
        schema = self._answer.model_json_schema()
        definitions = schema.pop("$defs", {})

        def resolved(node: Any) -> Any:  # noqa: ANN401 - any JSON
            if isinstance(node, dict):
                if "$ref" in node:
                    return resolved(definitions[node["$ref"].rpartition("/")[2]])
                return {key: resolved(value) for key, value in node.items() if key != "title"}
            return [resolved(one) for one in node] if isinstance(node, list) else node

        found: dict[str, Any] = resolved(schema)
        return found

    def messages(self, text: str) -> list[dict[str, str]]:
        """The conversation that asks about a text."""
        asked = [self.instructions.strip(), ""]
        for name, question in self.questions.items():
            asked += [f"## {name}", question.ask.strip()]
            if question.points:
                asked.append(f"Answer: a whole number, {question.points.least} to "
                             f"{question.points.most}.")  # fmt: skip
            else:
                asked.append("Answer, one of:")
                asked += [f"- {one}: {what}" for one, what in (question.choices or {}).items()]
            asked.append("")
        asked += [
            "Answer with one JSON object and nothing else. For each question it has a key, whose "
            'value is {"reason": one line, "answer": your answer}.',
        ]
        shown = text[: self.max_characters]
        cut = "" if len(text) <= self.max_characters else ", cut off here"
        # A mark that the text cannot have, so that no text can end the document by itself.
        mark = f"{_LINE}{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        document = f"The document:\n{mark}\n{shown}\n{mark}{cut}"
        return [
            {"role": "system", "content": "\n".join(asked)},
            {"role": "user", "content": document},
        ]

    def judged(self, answer: str) -> Judged:
        """Checks an answer.

        Args:
            answer: What the model wrote: the object, or a text that holds it.

        Raises:
            ValueError: There is no JSON object in it (`NoObject`), or it is not as asked.
        """
        found = find_object(answer)
        try:
            checked = self._answer.model_validate(found).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{where}: {first['msg']} ({error.error_count()} in all)") from None
        return Judged(
            {name: one["answer"] for name, one in checked.items()},
            {name: " ".join(one["reason"].split()) for name, one in checked.items()},
        )


def _whole(value: object) -> object:
    """Lets whole numbers through: `true` is 1 to Python, and no number of points.

    Raises:
        ValueError: It is something else.
    """
    if type(value) is not int:
        raise ValueError(f"found {json.dumps(value)[:40]}, not a whole number")
    return value


class NoObject(ValueError):
    """An answer without a JSON object."""


_TAKEN: Final = frozenset(
    {"id", "doc_id", "text", "url", "reason", "message", "answer", "rubric", "rubric_hash", "judge"}
)


def load_rubric(path: Path | None = None) -> Rubric:
    """Reads a rubric; the shipped one if no path is given.

    Raises:
        ValueError: The file is missing, no YAML, or no rubric.
    """
    path = path or SHIPPED
    try:
        return Rubric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"--rubric: {path} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"--rubric: {path} is no YAML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(
            f"--rubric: {path}, {'.'.join(map(str, first['loc'])) or 'top'}: {first['msg']}; the "
            f"shipped one shows the form: {SHIPPED}"
        ) from None


def find_object(answer: str) -> dict[str, Any]:
    """The last JSON object in a text that is not within another one.

    Models without structured answers write something before it, or a fence around it; what they
    think aloud first may hold objects too.

    Raises:
        NoObject: There is none in the last 100,000 characters and at the first 1,000 places there
            where one might start: each of them may cost a look at all the rest.
    """
    answer = answer[-_ANSWER_CHARACTERS:]
    decoder, at, tries, found = json.JSONDecoder(), 0, 0, None
    while (start := _OBJECT_START.search(answer, at)) and tries < _MOST_STARTS:
        tries += 1
        try:
            found, at = decoder.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            at = start.start() + 1
    if not isinstance(found, dict):
        raise NoObject("there is no JSON object in the answer")
    return found
