"""The seccomp filter of the sandbox: which system calls generated code may not make.

The namespaces already leave a call nothing to reach; the filter takes away the calls through which
holes in the kernel are usually found, and those whose memory no limit counts (memory files, System
V and POSIX message queues and shared memory), and those by which the program could slow down or
limit the keeper, who is the same user. It is a list of what is denied, because generated
programs, Python and the packages shown to it use hundreds of harmless calls; calls that are newer
than the list do not exist for the program (ENOSYS), so the kernel's growth opens nothing.

The program is classic BPF as seccomp(2) takes it: 8 bytes an instruction {u16 code, u8 jump if
true, u8 jump if false, u32 operand} over `struct seccomp_data` {u32 number, u32 machine, u64
instruction pointer, u64 arguments[6]}. Kernels from 5.11 on cache the calls that are allowed
whatever their arguments, so the length of the list costs those nothing.
"""

import errno
import struct
from functools import cache
from typing import Final

MACHINES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Machine -> its AUDIT_ARCH of <linux/audit.h>."""

PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}

_DENIED: Final = """
acct 163 89
add_key 248 217
adjtimex 159 171
bpf 321 280
chroot 161 51
clock_adjtime 305 266
clock_settime 227 112
create_module 174 -
delete_module 176 106
fanotify_init 300 262
fanotify_mark 301 263
finit_module 313 273
fsconfig 431 431
fsetxattr 190 7
fsmount 432 432
fsopen 430 430
fspick 433 433
get_kernel_syms 177 -
init_module 175 105
io_uring_enter 426 426
io_uring_register 427 427
io_uring_setup 425 425
ioprio_set 251 30
ioperm 173 -
iopl 172 -
kcmp 312 272
kexec_file_load 320 294
kexec_load 246 104
keyctl 250 219
lookup_dcookie 212 18
lsetxattr 189 6
mbind 237 235
memfd_create 319 279
memfd_secret 447 447
migrate_pages 256 238
modify_ldt 154 -
mount 165 40
mount_setattr 442 442
move_mount 429 429
move_pages 279 239
mq_getsetattr 245 185
mq_notify 244 184
mq_open 240 180
mq_timedreceive 243 183
mq_timedsend 242 182
mq_unlink 241 181
msgctl 71 187
msgget 68 186
msgrcv 70 188
msgsnd 69 189
name_to_handle_at 303 264
nfsservctl 180 42
open_by_handle_at 304 265
open_tree 428 428
perf_event_open 298 241
personality 135 92
pidfd_getfd 438 438
pivot_root 155 41
process_madvise 440 440
process_mrelease 448 448
process_vm_readv 310 270
process_vm_writev 311 271
ptrace 101 117
query_module 178 -
quotactl 179 60
quotactl_fd 443 443
reboot 169 142
remap_file_pages 216 234
request_key 249 218
sched_setattr 314 274
sched_setparam 142 118
sched_setscheduler 144 119
semctl 66 191
semget 64 190
semop 65 193
semtimedop 220 192
set_mempolicy 238 237
setdomainname 171 162
sethostname 170 161
setns 308 268
setpriority 141 140
settimeofday 164 170
setxattr 188 5
shmat 30 196
shmctl 31 195
shmdt 67 197
shmget 29 194
swapoff 168 225
swapon 167 224
sysfs 139 -
syslog 103 116
umount2 166 39
unshare 272 97
uselib 134 -
userfaultfd 323 282
ustat 136 -
vhangup 153 58
vmsplice 278 75
"""
"""Name, number on x86_64, number on aarch64, by <asm/unistd.h> of Linux 6.12; - where there is
none."""

_CLONE3: Final = 435
_NEWEST: Final = 449
"""futex_waitv; from 424 on numbers are the same on all machines."""
_NEWER_ALLOWED: Final = (451, 452, 453, 454, 455, 456, 462)
"""cachestat, fchmodat2, map_shadow_stack, futex_wake, futex_wait, futex_requeue, mseal."""

# Calls that are denied by an argument: (number on x86_64, on aarch64).
_CLONE: Final = (56, 220)
_SOCKET: Final = (41, 198)
_SOCKETPAIR: Final = (53, 199)
_IOCTL: Final = (16, 29)
_PRLIMIT: Final = (302, 261)
_SET_AFFINITY: Final = (203, 122)
_NEW_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; clone has no NEWTIME."""
_AF_UNIX: Final = 1
_TERMINAL_INPUT: Final = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_X32: Final = 0x40000000

_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16


def _step(code: int, operand: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, operand)


def _fail(number: int) -> bytes:
    return _step(_RETURN, 0x00050000 | number)


def _denied_by_argument(call: int, argument: int, test: bytes, answer: bytes) -> bytes:
    """Denies a call when `test` of the low half of an argument says so.

    `test` jumps to the next instruction where the call is denied and over it where not.
    """
    body = _step(_LOAD, _ARGUMENTS + 8 * argument) + test + answer + _step(_RETURN, _ALLOW)
    return _step(_EQUAL, call, 0, len(body) // 8) + body


def denied_calls(machine: str) -> dict[str, int]:
    """Calls that are denied whatever their arguments: name -> number on the machine."""
    column = 1 + list(MACHINES).index(machine)
    rows = [line.split() for line in _DENIED.strip().splitlines()]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


@cache
def seccomp_filter(machine: str) -> bytes:
    """Builds the filter.

    Args:
        machine: A key of MACHINES, as `os.uname().machine` gives it.

    Returns:
        Its instructions, 8 bytes each.

    Raises:
        ValueError: There is no table for the machine.
    """
    if machine not in MACHINES:
        raise ValueError(
            f"no table of system calls for {machine}; there are tables for {', '.join(MACHINES)}"
        )
    column = list(MACHINES).index(machine)
    parts = [
        _step(_LOAD, _MACHINE),
        _step(_EQUAL, MACHINES[machine], 1, 0),  # another machine's calls have other numbers
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        _fail(errno.ENOSYS),
        # Its flags lie in memory, where a filter cannot look; without it libraries take clone.
        _step(_EQUAL, _CLONE3, 0, 1),
        _fail(errno.ENOSYS),
    ]
    for number in denied_calls(machine).values():
        parts += [_step(_EQUAL, number, 0, 1), _fail(errno.EPERM)]
    for number in _NEWER_ALLOWED:
        parts += [_step(_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    parts += [_step(_AT_LEAST, _NEWEST + 1, 0, 1), _fail(errno.ENOSYS)]
    other_family = _step(_EQUAL, _AF_UNIX, 1, 0)
    no_family = _fail(errno.EAFNOSUPPORT)
    parts += [
        _denied_by_argument(_SOCKET[column], 0, other_family, no_family),
        _denied_by_argument(_SOCKETPAIR[column], 0, other_family, no_family),
        _denied_by_argument(
            _CLONE[column], 0, _step(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _fail(errno.EPERM)
        ),
    ]
    of_itself = _step(_EQUAL, 0, 1, 0)
    parts += [
        _denied_by_argument(_PRLIMIT[column], 0, of_itself, _fail(errno.EPERM)),
        _denied_by_argument(_SET_AFFINITY[column], 0, of_itself, _fail(errno.EPERM)),
        _denied_by_argument(
            _IOCTL[column],
            1,
            _step(_EQUAL, _TERMINAL_INPUT[0], 1, 0) + _step(_EQUAL, _TERMINAL_INPUT[1], 0, 1),
            _fail(errno.EPERM),
        ),
        _step(_RETURN, _ALLOW),
    ]
    return b"".join(parts)
