"""YAML as people mean it: no key twice, `no` is a word, and every key is text.

PyYAML follows YAML 1.1, where a second `eng_Latn:` silently replaces the first, and where the keys
`no`, `on` and `null` become False, True and None. Group names are text, so keys are taken as they
are written; among values only `true` and `false` are booleans, and `1e-12` and `4e9` are numbers,
as in YAML 1.2 (core schema, 10.3.2), where YAML 1.1 wants a dot and a sign.
"""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from mixtures.errors import MixtureError

_BOOLEAN: Final = "tag:yaml.org,2002:bool"
_FLOAT: Final = "tag:yaml.org,2002:float"
_MERGE: Final = "tag:yaml.org,2002:merge"

_WITH_EXPONENT: Final = re.compile(
    r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+\Z", re.ASCII
)
"""A float of YAML 1.2 that bears an exponent; YAML 1.1 knows all others."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader with text keys, unique keys, and the booleans and floats of YAML 1.2."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:  # the signature of PyYAML
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise MixtureError(f"{_place(key)}: found a list or mapping as a key; write text")
            if key.tag == _MERGE:
                continue
            if key.value in seen:
                raise MixtureError(
                    f"{_place(key)}: found key {key.value!r} a second time in one mapping; "
                    "a key is allowed once; remove or rename one of the two"
                )
            seen.add(key.value)
        self.flatten_mapping(node)
        # Merged pairs come first, so that a key of the mapping itself wins.
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


# A subclass shares the resolver table of its base until it replaces it.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|false)$"), list("tf"))
_StrictLoader.add_implicit_resolver(_FLOAT, _WITH_EXPONENT, list("-+.0123456789"))


def _construct_map(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _construct_map)


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def read_yaml(path: Path) -> object:
    """Reads one YAML file.

    Args:
        path: A local file of UTF-8 text.

    Returns:
        dicts with text keys, lists, text, numbers, booleans and None.

    Raises:
        MixtureError: The file is absent, not UTF-8, not YAML, nested too deeply, or has a key
            twice; names the line where there is one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MixtureError(
            f"{path}: cannot be read ({error.strerror}); give the path of a YAML file"
        ) from error
    except UnicodeDecodeError as error:
        raise MixtureError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise MixtureError(f"{path}: {line}not YAML: {problem}; correct this line") from error
    except MixtureError as error:
        raise MixtureError(f"{path}: {error}") from error
    except RecursionError:
        # Without its cause, which is a thousand frames of the parser.
        raise MixtureError(
            f"{path}: lists or mappings inside one another too deeply to be read; allowed: a few "
            "levels, as in the shipped mixtures; look for brackets that are opened and not closed"
        ) from None
