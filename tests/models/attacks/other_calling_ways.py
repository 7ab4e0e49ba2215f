"""Calls by the table of another machine: that of 32 bits has other numbers (x86 only)."""

import ctypes
import mmap
import sys

from attempts import attempt, system_call

attempt("x32 socket", system_call, 0x40000000 | 41, 2, 1, 0)
# mov eax, 359 (socket of i386); mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
code = bytes.fromhex("b867010000bb02000000b90100000031d2cd80c3")
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(code)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
sys.stdout.flush()
print("ESCAPED", ctypes.CFUNCTYPE(ctypes.c_int)(address)())
