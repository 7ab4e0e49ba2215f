"""What sites say against the training of models, beyond robots.txt's own rules.

None of these is a standard yet; each is read as its source describes it, and where sources leave a
choice, in favour of the site. `obey_ai_policy: false` turns all of them off.

- `noai`, `noimageai` in X-Robots-Tag and the robots meta tag (DeviantArt, November 2022). The
  second speaks of images alone; who says it does not expect a crawler to tell them from text, so it
  counts as the first.
- `Content-Signal: ai-train=no` in robots.txt (contentsignals.org, Cloudflare, September 2025).
- `Content-Usage: train-ai=n` in robots.txt, also for single paths, and as a response field
  (draft-ietf-aipref-attach, draft-ietf-aipref-vocab). Of two statements for one path the stricter
  holds. Lines of both that stand above all groups are taken to speak to everybody.
- `/ai.txt` (Spawning, May 2023): written like robots.txt, with patterns of file names such as
  `*.html`. An address whose last segment has no ending is also matched as if it ended in `.html`.
- TDM Reservation Protocol (W3C community group report, May 2024): `tdm-reservation: 1` as a
  response field, as a meta tag, or for paths in `/.well-known/tdmrep.json`, of which the first rule
  that matches counts. The protocol lets a page's 0 lift its site's 1; here any 1 reserves, because
  a reserved address is not asked for.

Paths are matched by protego, by the rules of robots.txt, which all these files borrow.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from protego import Protego

AI_TXT: Final = "/ai.txt"
TDMREP: Final = "/.well-known/tdmrep.json"
MAX_POLICY_BYTES: Final = 512 << 10
"""Of either file; as much as of a robots.txt."""
_MAX_RULES: Final = 1000
_LINE: Final = re.compile(r"\s*([\w-]+)\s*:\s*([^#\r\n]*)")
# Categories of draft-ietf-aipref-vocab and its earlier versions, the narrowest first: what is said
# of a narrower one counts more.
_CATEGORIES: Final = ("train-genai", "genai", "train-ai", "ai", "tdm", "bots", "all")
_NO: Final = ("n", "no", "?0")
_YES: Final = ("y", "yes", "?1")

Refusal = tuple[str, str]
"""(reason, message)"""


class BrokenPolicy(ValueError):
    """A file under the name of a policy that is none."""


@dataclass(frozen=True, slots=True)
class PathRule:
    """What is said of the paths that match a pattern."""

    pattern: str
    """As in robots.txt: a prefix, with `*` and a final `$`."""
    is_denied: bool
    matcher: Protego

    def matches(self, url: str) -> bool:
        """Whether an address is meant."""
        return not self.matcher.can_fetch(url, "*")


def path_rule(pattern: str, *, is_denied: bool) -> PathRule:
    """A rule; what stands behind a line break of the pattern is cut off."""
    pattern = (pattern.splitlines() or [""])[0].strip() or "/"
    return PathRule(pattern, is_denied, Protego.parse(f"User-agent: *\nDisallow: {pattern}"))


@dataclass(frozen=True, slots=True)
class AiPolicy:
    """What the files of one origin say."""

    usage: tuple[PathRule, ...] = ()
    """Of robots.txt, the longest pattern first and denials before permissions."""
    ai_txt: Protego | None = None
    product: str = "*"
    tdm: tuple[PathRule, ...] = ()
    """Of tdmrep.json, in its order."""

    def refusal(self, url: str) -> Refusal | None:
        """Why an address must not be used, or None where nothing is said against it.

        Args:
            url: Canonical.
        """
        usage = next((rule for rule in self.usage if rule.matches(url)), None)
        if usage is not None and usage.is_denied:
            return "noai", f"robots.txt reserves {usage.pattern} from the training of models"
        if self.ai_txt is not None:
            for spelling in _spellings(url):
                if not self.ai_txt.can_fetch(spelling, self.product):
                    return "ai_txt_denied", "its ai.txt disallows the path"
        tdm = next((rule for rule in self.tdm if rule.matches(url)), None)
        if tdm is not None and tdm.is_denied:
            return "tdm_reserved", f"tdmrep.json reserves {tdm.pattern}"
        return None


def usage_rules(robots_txt: str, product: str) -> tuple[PathRule, ...]:
    """Content-Signal and Content-Usage of a robots.txt.

    Args:
        robots_txt: Its text.
        product: Our product token in lower case; its groups count, else those of `*` (RFC 9309
            2.2.1).

    Returns:
        Rules, the one that decides first.
    """
    rules = []
    for name, value in _group(robots_txt, product):
        pattern, statement = "/", value
        if value.startswith("/"):
            pattern, _, statement = value.partition(" ")
        allows = _allows_training(name, statement)
        if allows is not None:
            rules.append(path_rule(pattern, is_denied=not allows))
    rules.sort(key=lambda rule: (-len(rule.pattern), not rule.is_denied))
    return tuple(rules[:_MAX_RULES])


def _group(robots_txt: str, product: str) -> Iterator[tuple[str, str]]:
    """Lines about usage that speak to us: (name in lower case, value)."""
    ours: dict[str, list[tuple[str, str]]] = {"": [], "*": [], product: []}
    has_group = False
    agents, in_rules = [""], False
    for line in robots_txt.splitlines():
        found = _LINE.match(line.replace("\t", " "))
        if found is None:
            continue
        name, value = found[1].lower(), found[2].strip()
        if name == "user-agent":
            agents = (
                [*agents, value.lower()] if not in_rules and agents != [""] else [value.lower()]
            )
            has_group = has_group or value.lower() == product
            in_rules = False
        elif name != "sitemap":
            in_rules = True
            if name in ("content-signal", "content-usage"):
                for agent in set(agents) & ours.keys():
                    ours[agent].append((name, value))
    yield from ours[""]
    yield from ours[product if has_group else "*"]


def _allows_training(name: str, statement: str) -> bool | None:
    """What a statement says of training; None where it says nothing.

    >>> _allows_training("content-signal", "search=yes, ai-train=no")
    False
    """
    said: dict[str, set[str]] = {}
    for item in statement.replace(";", ",").split(","):
        key, _, value = item.strip().lower().partition("=")
        said.setdefault(key.strip(), set()).add(value.strip())
    keys = ("ai-train",) if name == "content-signal" else _CATEGORIES
    for key in keys:
        values = said.get(key, set())
        if values & set(_NO):
            return False
        if values & set(_YES):
            return True
    return None


def parse_ai_txt(body: bytes) -> Protego:
    """Rules of an ai.txt.

    Raises:
        BrokenPolicy: It names no user agent, as the page that many servers send for what they do
            not have.
    """
    text = body.decode("utf-8-sig", "replace")
    names = {found[1].lower() for line in text.splitlines() if (found := _LINE.match(line))}
    if "user-agent" not in names:
        raise BrokenPolicy("no line names a user agent")
    return Protego.parse(text)


def _spellings(url: str) -> Iterator[str]:
    yield url
    path = urlsplit(url).path
    if "." not in path.rpartition("/")[2]:
        root = url[: url.index(path, url.index("//") + 2)]
        yield f"{root}{path}index.html" if path.endswith("/") else f"{root}{path}.html"


def parse_tdmrep(body: bytes) -> tuple[PathRule, ...]:
    """Rules of a tdmrep.json.

    Raises:
        BrokenPolicy: It is no JSON array, or a location is no text (half of a surrogate pair).
    """
    try:
        rules = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BrokenPolicy(f"no JSON: {error}") from error
    if not isinstance(rules, list):
        raise BrokenPolicy(f"a JSON {type(rules).__name__}; allowed: an array of rules")
    try:
        return tuple(
            path_rule(rule["location"], is_denied=_is_reserved(rule.get("tdm-reservation")))
            for rule in rules[:_MAX_RULES]
            if isinstance(rule, dict) and isinstance(rule.get("location"), str)
        )
    except UnicodeEncodeError as error:
        raise BrokenPolicy(f"a location is no text: {error.reason}") from error


def _is_reserved(value: Any) -> bool:  # noqa: ANN401 - of somebody's JSON
    return str(value).strip() in ("1", "1.0", "True")


def is_reserved(value: str | None) -> bool | None:
    """What a tdm-reservation field or meta tag says; None where it says nothing.

    >>> is_reserved(" 1 "), is_reserved("0"), is_reserved("yes")
    (True, False, None)
    """
    return {"1": True, "0": False}.get((value or "").strip())


def answer_refusal(fields: Iterable[tuple[str, str]]) -> Refusal | None:
    """Why an answer must not be used, by its fields but X-Robots-Tag.

    Args:
        fields: (name in lower case, value).
    """
    for name, value in fields:
        if name == "tdm-reservation" and is_reserved(value):
            return "tdm_reserved", "tdm-reservation: 1"
        if name in ("content-usage", "content-signal") and _allows_training(name, value) is False:
            return "noai", f"{name}: {value}"
    return None
