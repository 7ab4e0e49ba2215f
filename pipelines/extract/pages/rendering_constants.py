"""Constants of which kernels make no new kernels, and the characters that Markdown is made of.

numba types the argument `3` of a call as "the literal 3" and compiles the called kernel anew for
each such value (numba 0.68, `Dispatcher.get_call_template`); a numpy number is an int64 like all
others, and the compiler still sees its value. The kernels of rendering compile in half the time.
"""

from typing import Final, cast

import numpy as np
from numpy.typing import NDArray


def fixed(value: int) -> int:
    """A constant that is passed to kernels as any other int64.

    Args:
        value: The number.
    """
    return cast(int, np.int64(value))


def fixed_flag(value: bool) -> bool:
    """A constant that is passed to kernels as any other bool.

    Args:
        value: The flag.
    """
    return cast(bool, np.bool_(value))


def name_bytes(text: str) -> NDArray[np.uint8]:
    """A name or value that kernels look for in a page, read-only: uint8[num_bytes].

    Args:
        text: In lower case.
    """
    return np.frombuffer(text.encode(), np.uint8)


YES: Final = fixed_flag(True)
NO: Final = fixed_flag(False)
NONE: Final = fixed(0)
ONE: Final = fixed(1)

NEW_LINE: Final = fixed(ord("\n"))
BLANK_BYTE: Final = fixed(ord(" "))
QUOTE: Final = fixed(ord('"'))
HASH: Final = fixed(ord("#"))
LEFT_BRACKET: Final = fixed(ord("("))
RIGHT_BRACKET: Final = fixed(ord(")"))
DASH: Final = fixed(ord("-"))
BACKSLASH: Final = fixed(ord("\\"))
CARET: Final = fixed(ord("^"))
UNDERSCORE: Final = fixed(ord("_"))
BACKTICK: Final = fixed(ord("`"))
