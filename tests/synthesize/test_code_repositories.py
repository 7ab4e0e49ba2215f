"""Repositories as documents: every file once, in an order that can be read."""

import asyncio

import pytest

from pipelines.models.desk import Desk
from pipelines.models.handler import Handler
from pipelines.synthesize.programs.dependencies import imported, in_order
from pipelines.synthesize.programs.repository import RepositoryMaker
from pipelines.synthesize.recipe import Made, Seed
from pipelines.synthesize.recipes import load_recipe
from pipelines.workspace.children import Children, Limits

FILES = {
    "README.md": "# Zähler\n",
    "docs/README.md": "more\n",
    "src/app/main.py": "from app import model\nfrom .views import (\n    show,\n    hide,\n)\n",
    "src/app/model.py": "import os\nimport app.base as b\n",
    "src/app/base.py": "X = 1\n",
    "src/app/views/__init__.py": "from ..model import X\nfrom . import table\n",
    "src/app/views/table.py": "'''表'''\n",
    "src/app/__init__.py": "",
    "a_tool.py": "import src.app.main\n",
}


def test_files_stand_behind_those_that_they_import() -> None:
    order = in_order(FILES)
    assert sorted(order) == sorted(FILES)
    assert order[0] == "README.md"
    for path, text in FILES.items():
        for other in imported(path, text, FILES):
            assert order.index(other) < order.index(path), (other, path)
    assert imported("src/app/main.py", FILES["src/app/main.py"], FILES) == {
        "src/app/__init__.py",
        "src/app/model.py",
        "src/app/views/__init__.py",
    }
    assert in_order(dict(reversed(FILES.items()))) == order


def test_other_languages_and_circles_have_an_order_too() -> None:
    c = {"a.c": '#include "lib/b.h"\n#include <stdio.h>\n', "lib/b.h": '#include "c.h"\n'}
    assert in_order({**c, "include/c.h": "int c;\n"}) == ["include/c.h", "lib/b.h", "a.c"]
    script = {
        "a.ts": "import { b } from './lib/b';\nconst c = require('./c.js');\n",
        "c.js": "module.exports = 1;\n",
        "lib/b/index.ts": "export const b = 1; import 'react';\n",
    }
    assert in_order(script) == ["c.js", "lib/b/index.ts", "a.ts"]
    circle = {"x.py": "import y\nimport z\n", "y.py": "import x\n", "z.py": "import z\n"}
    assert in_order(circle) == ["z.py", "x.py", "y.py"]
    assert in_order({"b.rs": "mod a;", "a.rs": ""}) == ["a.rs", "b.rs"]


def seed_of(path: str | None, text: str, repository: str | None = "octo/zähler") -> Seed:
    facts = {"repository": repository, "path": path}
    meta = {name: value for name, value in facts.items() if value is not None}
    return Seed(id=f"{path!s:16.16}".encode()[:16], text=text, language=None, meta=meta)


def cook(seeds: list[Seed], **options: object) -> Made:
    recipe = load_recipe("repository", options)
    assert isinstance(recipe, RepositoryMaker)
    handler = Handler(None)
    try:
        desk = Desk(handler, None, Children(Limits(processes=1)))
        return asyncio.run(recipe.make(tuple(seeds), desk))
    finally:
        handler.close()


def test_a_repository_is_one_document() -> None:
    seeds = [seed_of("b.py", "import a\n"), seed_of("a.py", "A = 'ก'\n"), seed_of("README", "Hi")]
    made = cook(seeds)
    assert (made.units, made.accepted, made.rejects) == (3, 3, [])
    (draft,) = made.drafts
    assert draft.text == (
        "<|repo_name|>octo/zähler\n<|file_sep|>README\nHi\n"
        "<|file_sep|>a.py\nA = 'ก'\n\n<|file_sep|>b.py\nimport a\n\n"
    )
    assert draft.parents == (seeds[2].id, seeds[1].id, seeds[0].id)
    assert draft.meta == {"repository": "octo/zähler", "files": "3", "document": "1/1"}
    assert draft.request is None


def test_large_repositories_give_several_documents_with_every_file_once() -> None:
    texts = {f"m{n:02}.py": f"V{n} = {'x' * 300!r}\n" for n in range(20)}
    made = cook([seed_of(path, text) for path, text in texts.items()], max_characters=1100)
    assert (made.units, made.accepted) == (20, 20)
    assert all(len(draft.text) <= 1100 for draft in made.drafts)
    assert [draft.meta["document"] for draft in made.drafts] == [f"{n}/7" for n in range(1, 8)]
    whole = "".join(draft.text for draft in made.drafts)
    assert all(whole.count(text) == 1 for text in texts.values())
    assert whole.count("<|repo_name|>") == 7


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (seed_of("a.py", "x", repository=None), "no_repository"),
        (seed_of(None, "x"), "no_path"),
        (seed_of("1.py", "again"), "repeated_path"),
        (seed_of("a.py", "# <|file_sep|>evil.py"), "holds_special_token"),
        (seed_of("a.py", "x" * 2000), "too_large"),
    ],
)
def test_files_that_cannot_stand_in_a_document_have_a_reason(bad: Seed, reason: str) -> None:
    made = cook([seed_of("1.py", "one\n"), seed_of("2.py", "two\n"), bad], max_characters=1000)
    assert (made.units, made.accepted) == (3, 2)
    assert [one.reason for one in made.rejects] == [reason]
    assert len(made.drafts) == 1


def test_single_files_are_documents_already() -> None:
    made = cook([seed_of("1.py", "one\n")])
    assert (made.units, made.accepted, made.drafts) == (1, 0, [])
    assert [one.reason for one in made.rejects] == ["few_files"]
