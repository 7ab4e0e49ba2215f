"""Asks the processor for memory before it is needed.

A hashed n-gram's row lies anywhere in a table of tens of megabytes. Read when it is needed, it is
waited for: 44 ns a row of 64 bytes. Asked for while the numbers of the next 64 rows are still being
computed, it costs 4 ns (measured on one core, 700,000 rows of 16 float32). numba has no such
instruction; LLVM has (LangRef, llvm.prefetch).
"""

# ruff: noqa: ANN401 - llvmlite and numba have no types

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

_READ, _KEEP, _DATA = 0, 3, 1  # llvm.prefetch: rw, locality, cache type


@intrinsic
def prefetch(typing_context: Any, address: Any) -> Any:
    """Within a kernel: begins to load the cache line of 64 bytes at an address.

    Args:
        address: An integer, such as `table.ctypes.data + 64 * row`. An address that is not mapped
            does no harm.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer_type, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        ask = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [pointer_type],
            ir.FunctionType(ir.VoidType(), [pointer_type, number, number, number]),
        )
        pointer = builder.inttoptr(arguments[0], pointer_type)
        builder.call(ask, [pointer, number(_READ), number(_KEEP), number(_DATA)])
        return context.get_dummy_value()

    return types.void(address), generate
