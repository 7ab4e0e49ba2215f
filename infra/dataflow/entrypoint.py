"""What a container of tokenmill's image starts: secrets first, then Beam's boot.

Dataflow gives workers no environment variables, and an image must not hold a key. So the image, or
whoever starts it, names secrets, several with commas:

    TOKENMILL_SECRETS=OPENAI_KEY=projects/my-project/secrets/openai/versions/latest

Each is read here from Secret Manager, with the service account of the machine, and set as the
environment variable that corpus.yaml names as `api_key_env`. Values are never printed. Nothing is
asked of Google where TOKENMILL_SECRETS is empty.
"""

import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

VARIABLE: Final = "TOKENMILL_SECRETS"
BOOT: Final = "/opt/apache/beam/boot"
_PAIR: Final = re.compile(r"([A-Za-z_]\w*)=(projects/[^/]+/secrets/[^/]+/versions/[^/]+)")


def names_of(given: str) -> dict[str, str]:
    """Environment variable -> name of its secret.

    Raises:
        ValueError: Not of the form NAME=projects/P/secrets/S/versions/V.
    """
    found = {}
    for word in filter(None, (one.strip() for one in given.split(","))):
        pair = _PAIR.fullmatch(word)
        if pair is None:
            raise ValueError(
                f"{VARIABLE}: found {word.partition('=')[0]!r} without a secret's name; allowed is "
                "NAME=projects/PROJECT/secrets/SECRET/versions/VERSION, several with commas"
            )
        found[pair[1]] = pair[2]
    return found


def read_secrets(names: Mapping[str, str], client: Any = None) -> dict[str, str]:  # noqa: ANN401
    """Environment variable -> value of its secret.

    Args:
        names: As `names_of` gives.
        client: Of Secret Manager; one with the machine's own account, if not given.

    Raises:
        google.api_core.exceptions.GoogleAPICallError: No such secret, or no right to read it.
    """
    if not names:
        return {}
    if client is None:
        from google.cloud import secretmanager

        client = secretmanager.SecretManagerServiceClient()
    return {
        name: client.access_secret_version(name=secret).payload.data.decode().rstrip("\n")
        for name, secret in names.items()
    }


def main() -> None:
    """Sets the secrets, and becomes Beam's boot with the same arguments."""
    secrets = read_secrets(names_of(os.environ.get(VARIABLE, "")))
    os.execve(BOOT, [BOOT, *sys.argv[1:]], {**os.environ, **secrets})


if __name__ == "__main__":
    main()
