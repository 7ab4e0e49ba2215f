"""What the attack programs share; it lies beside each of them in the sandbox."""

import ctypes
import os
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)


def attempt(what: str, action: Callable[..., object], *arguments: object) -> object:
    """Tries what must be denied; says so when it was not."""
    try:
        found = action(*arguments)
    except Exception as error:
        print("denied", what, type(error).__name__, flush=True)
        return None
    print("ESCAPED", what, repr(found)[:200], flush=True)
    return found


def system_call(number: int, *arguments: object) -> int:
    """One call of the kernel, without a library between."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    found = _LIBC.syscall(ctypes.c_long(number), *passed)
    if found == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def library_call(name: str, *arguments: object) -> int:
    """The same by a function of the C library, which knows its number on this machine."""
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    found = getattr(_LIBC, name)(*passed)
    if found == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found
