"""The program between the worker and generated code; it builds the sandbox around itself.

It runs on the bare interpreter, without the package and without site-packages, because the
sandbox shows neither; the worker hands it over as compiled code, together with its orders, in one
sealed memory file. Three processes take part:

    monitor   bubblewrap, or this program where bubblewrap is absent: makes the namespaces, waits
    keeper    this program as process 1 of the new process namespace: mounts the work folder, gives
              up its rights, starts the program, counts its memory and CPU time, reports its end
    program   limits, Landlock, seccomp, then the command

The keeper is out of reach of the program: the kernel spares process 1 of a namespace all signals
from within, it is not dumpable (neither ptrace nor memory of it may be touched), and no /proc is
mounted where the program could look it up. When the keeper ends, for whatever reason, the kernel
kills every process of the namespace; nothing is left behind that has to be searched for.

Mounts are made by the file-descriptor calls of Linux 5.2 and 5.12 (open_tree, move_mount,
mount_setattr): trees are cloned before the new root covers anything, and flags are added, never
replaced, so a flag that an unprivileged namespace may not remove stays as it is. Their numbers are
the same on all machines. See mount_setattr(2), landlock(7), capabilities(7), user_namespaces(7).
"""

import ctypes
import os
import resource
import select
import signal
from typing import Any, Final

WORK: Final = "/work"
HELLO: Final = b"ready"
TICK_MS: Final = 20
"""How often the keeper counts memory and CPU time of all processes."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)

# <linux/sched.h>
_NEW_MOUNTS, _NEW_CGROUP, _NEW_NAMES, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PIDS, _NEW_NET = 0x10000000, 0x20000000, 0x40000000
# <linux/mount.h>, <linux/fcntl.h>
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE_TREE, _RECURSIVE, _EMPTY_PATH, _MOVE_EMPTY_PATH = 1, 0x8000, 0x1000, 4
_AT_FDCWD: Final = -100
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC = 1, 2, 4, 8  # MS_* and MOUNT_ATTR_* agree on these
_MS_REC, _MS_PRIVATE, _DETACH = 0x4000, 1 << 18, 2
# <linux/prctl.h>, <linux/capability.h>
_DEATH_SIGNAL, _DUMPABLE, _SECCOMP, _BOUNDING_DROP, _NO_NEW_PRIVILEGES = 1, 4, 22, 24, 38
_SECCOMP_FILTER: Final = 2
_CAPABILITY_VERSION: Final = 0x20080522
_CAP_PTRACE: Final = 19
"""Lets the keeper read the memory figures of a process that made itself undumpable."""
# <linux/landlock.h>
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_CHAR, _MAKE_BLOCK, _REFER, _TRUNCATE, _IOCTL = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
_FIRST_VERSION_RIGHTS: Final = (1 << 13) - 1
_NET_RIGHTS: Final = 3  # bind and connect of TCP
_SCOPES: Final = 3  # abstract unix sockets, signals

Orders = dict[str, Any]
"""What `sandbox_process.orders` writes."""


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_fd")]


class _Ruleset(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "net", "scopes")]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def _syscall(what: str, number: int, *arguments: object) -> int:
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *passed), what)


def _prctl(option: int, argument: object = 0, further: object = 0) -> None:
    passed = [
        ctypes.c_ulong(one) if isinstance(one, int) else one for one in (argument, further, 0, 0)
    ]
    _checked(_LIBC.prctl(ctypes.c_int(option), *passed), f"prctl {option}")


def _unshare(flags: int, what: str) -> None:
    _checked(_LIBC.unshare(ctypes.c_int(flags)), what)


def _mount(kind: str, target: str, flags: int, options: str = "") -> None:
    done = _LIBC.mount(
        kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()
    )
    _checked(done, f"mount {kind} {target}")


# ---- monitor ----------------------------------------------------------------------------------


def launch(orders: Orders, status: int) -> None:
    """Runs the whole, as monitor and keeper or, within bubblewrap, as keeper alone; never returns.

    Args:
        orders: What to show, to limit and to run.
        status: Socket to the worker.
    """
    try:
        _prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if orders["back_end"] == "namespaces":
            _leave_namespaces(orders)
            keeper = os.fork()
            if keeper:
                os.close(status)
                os.waitpid(keeper, 0)  # returns when its whole namespace is gone
                os._exit(0)
            _prctl(_DEATH_SIGNAL, signal.SIGKILL)
            _change_root(orders)
        _keep(orders, status)
    except BaseException as error:
        os.write(status, f"failed {type(error).__name__}: {error}"[:2000].encode())
    os._exit(1)


def _leave_namespaces(orders: Orders) -> None:
    flags = _NEW_MOUNTS | _NEW_PIDS | _NEW_NET | _NEW_IPC | _NEW_NAMES | _NEW_CGROUP
    if orders["privileged"]:
        _unshare(flags, "unshare namespaces")
        return
    user, group = os.geteuid(), os.getegid()
    _unshare(flags | _NEW_USER, "unshare namespaces of an ordinary user")
    _map_ids(os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), orders["uid"], user, group)


def _map_ids(proc: int, inner: int, user: int, group: int) -> None:
    """The one user and group that exist in a new user namespace."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner} {user} 1"),
        ("gid_map", f"{inner} {group} 1"),
    ):
        _write(proc, f"self/{name}", text)


def _write(proc: int, path: str, text: str) -> None:
    file = os.open(path, os.O_WRONLY, dir_fd=proc)
    os.write(file, text.encode())
    os.close(file)


def _set_mount(tree: int, flags: int, recursive: int = _RECURSIVE) -> None:
    attributes = _MountAttributes(flags, 0, _MS_PRIVATE, 0)
    _syscall(
        "mount_setattr",
        _MOUNT_SETATTR,
        tree,
        b"",
        _EMPTY_PATH | recursive,
        ctypes.byref(attributes),
        ctypes.sizeof(attributes),
    )


def _change_root(orders: Orders) -> None:
    """Puts the process into a root of a read-only tmpfs that holds what the orders show."""
    trees = []
    for source, target, flags in [
        *((one, one, _READ_ONLY | _NO_SUID | _NO_EXEC) for one in orders["devices"]),
        *((a, b, _READ_ONLY | _NO_SUID | _NO_DEVICES) for a, b in orders["shown"]),
    ]:
        tree = _syscall(
            f"open_tree {source}",
            _OPEN_TREE,
            _AT_FDCWD,
            source.encode(),
            _CLONE_TREE | _RECURSIVE | os.O_CLOEXEC,
        )
        _set_mount(tree, flags)
        trees.append((tree, target, os.path.isdir(source)))
    os.umask(0o022)
    _mount("none", "/", _MS_REC | _MS_PRIVATE)
    base = "/usr"  # any folder that exists: it is covered in this namespace only
    _mount("tmpfs", base, _NO_SUID | _NO_DEVICES, "mode=0755,size=1m")
    for tree, target, folder in trees:
        place = base + target
        os.makedirs(place if folder else os.path.dirname(place), exist_ok=True)
        if not folder:
            os.close(os.open(place, os.O_CREAT | os.O_CLOEXEC, 0o644))
        _syscall(
            f"move_mount {target}",
            _MOVE_MOUNT,
            tree,
            b"",
            _AT_FDCWD,
            place.encode(),
            _MOVE_EMPTY_PATH,
        )
        os.close(tree)
    for hidden in orders["hidden"]:
        _mount("tmpfs", base + hidden, _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_EXEC, "size=4k")
    for link, target in orders["links"]:
        os.makedirs(os.path.dirname(base + link), exist_ok=True)
        os.symlink(target, base + link)
    for place in (WORK, "/proc"):
        os.mkdir(base + place)
    # While the old /proc is in sight: without one in full view the kernel refuses another.
    _mount("proc", f"{base}/proc", _NO_SUID | _NO_DEVICES | _NO_EXEC)
    os.chdir(base)
    _syscall("pivot_root", orders["pivot_root"], b".", b".")
    _checked(_LIBC.umount2(b".", _DETACH), "umount of the old root")
    os.chdir("/")
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    _set_mount(root, _READ_ONLY | _NO_SUID | _NO_DEVICES, recursive=0)
    os.close(root)


# ---- keeper -----------------------------------------------------------------------------------


def _keep(orders: Orders, status: int) -> None:
    inner = orders["uid"]
    size, inodes = orders["work_bytes"], orders["work_inodes"]
    _mount(
        "tmpfs",
        WORK,
        _NO_SUID | _NO_DEVICES,
        f"size={size},nr_inodes={inodes},mode=0700,uid={inner},gid={inner}",
    )
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    _checked(_LIBC.umount2(b"/proc", _DETACH), "umount /proc")
    if orders["privileged"]:
        if os.getgroups():
            os.setgroups([])
        os.setresgid(inner, inner, inner)
        os.setresuid(inner, inner, inner)
        _prctl(_DUMPABLE, 1)  # else the maps below belong to root
        _unshare(_NEW_USER, f"unshare the user namespace of user {inner}")
        _map_ids(proc, inner, inner, inner)
        _prctl(_DEATH_SIGNAL, signal.SIGKILL)  # a change of user takes it away
    _write_files(orders["files"])
    _write(proc, "self/oom_score_adj", "1000")  # the first to go on a machine short of memory
    _prctl(_DUMPABLE, 0)
    _keep_one_capability()
    os.write(status, HELLO)
    if not os.read(status, 1):
        os._exit(0)
    program = os.fork()
    if not program:
        _become_program(orders)
    _watch(orders, program, proc, status)


def _write_files(files: list[tuple[str, bytes]]) -> None:
    os.umask(0o077)
    for name, content in files:
        path = f"{WORK}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def _set_capabilities(bits: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    _checked(_LIBC.capset(header, data), "capset")


def _keep_one_capability() -> None:
    for capability in range(64):
        if _LIBC.prctl(_BOUNDING_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            if ctypes.get_errno() == 22 and capability > _CAP_PTRACE:  # EINVAL: none so high
                break
            _checked(-1, f"drop capability {capability}")
    _set_capabilities(1 << _CAP_PTRACE)


def _watch(orders: Orders, program: int, proc: int, status: int) -> None:
    """Waits for the end of the program; ends early when all processes together take too much.

    Their number is bound by the kernel already, except for the user that is root outside.
    """
    ended = select.poll()
    ended.register(os.pidfd_open(program), select.POLLIN)
    while True:
        ended.poll(TICK_MS)
        code = _reap(program)
        pids = _pids(proc)
        memory, cpu_seconds = _usage(proc, pids)
        if code is not None:
            os.write(status, f"ended {code} {cpu_seconds:.3f}".encode())
            os._exit(0)
        if cpu_seconds > orders["cpu_seconds"]:
            os.write(status, b"cpu")
            os._exit(0)
        if memory > orders["memory_bytes"] and _shared_out(proc, pids) > orders["memory_bytes"]:
            os.write(status, b"memory")
            os._exit(0)
        if len(pids) > orders["processes"]:
            os.write(status, b"processes")
            os._exit(0)


def _reap(program: int) -> int | None:
    """Takes the dead from the list; gives the wait status of the program when it is among them."""
    code = None
    while True:
        try:
            pid, found = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if not pid:
            return code
        if pid == program:
            code = found


def _pids(proc: int) -> list[str]:
    return [name for name in os.listdir(proc) if name.isdigit() and name != "1"]


def _read(proc: int, path: str) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY, dir_fd=proc)
    except OSError:  # gone in the meantime, or not for us
        return b""
    try:
        return os.read(file, 4096)
    except OSError:
        return b""
    finally:
        os.close(file)


def _usage(proc: int, pids: list[str]) -> tuple[int, float]:
    """Resident bytes, shared pages counted once a process, and CPU seconds, of all but process 1.

    Fields by proc_pid_stat(5); behind the name, which may hold anything, they begin with the third.
    """
    pages = ticks = 0
    for pid in pids:
        fields = _read(proc, f"{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 21:
            ticks += sum(int(one) for one in fields[11:15])
            pages += int(fields[21])
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ticks / os.sysconf("SC_CLK_TCK") + spent.ru_utime + spent.ru_stime
    return pages * resource.getpagesize(), seconds


def _shared_out(proc: int, pids: list[str]) -> int:
    """Bytes with shared pages divided among those who share them, and what is swapped out."""
    total = 0
    for pid in pids:
        lines = _read(proc, f"{pid}/smaps_rollup").splitlines()
        own = [line.split() for line in lines if line.startswith((b"Pss:", b"SwapPss:"))]
        if own:
            total += sum(int(one[1]) for one in own) << 10
        else:  # a kernel without these figures
            fields = _read(proc, f"{pid}/stat").rpartition(b")")[2].split()
            total += int(fields[21]) * resource.getpagesize() if len(fields) > 21 else 0
    return total


# ---- program ----------------------------------------------------------------------------------


def _become_program(orders: Orders) -> None:
    try:
        os.setsid()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # the interpreter ignores them
        os.chdir(WORK)
        os.umask(0o022)
        for kind, soft, hard in orders["resources"]:
            known = resource.getrlimit(kind)[1]  # -1: none
            soft, hard = (one if known < 0 else min(one, known) for one in (soft, hard))
            resource.setrlimit(kind, (soft, hard))
        _prctl(_NO_NEW_PRIVILEGES, 1)
        _set_capabilities(0)
        if orders["landlock"]:
            _landlock(orders["landlock"], orders["readable"], orders["devices"])
        os.closerange(3, 256)
        program = _Filter(len(orders["filter"]) // 8, orders["filter"])
        _prctl(_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program))
        os.execvpe(orders["command"][0], orders["command"], orders["environment"])
    except BaseException as error:
        os.write(2, f"cannot start {orders['command'][0]}: {error}\n".encode())
    os._exit(127)


def _landlock(version: int, readable: list[str], devices: list[str]) -> None:
    """Denies by path once more what the root does not show; version: that of the kernel."""
    known = _FIRST_VERSION_RIGHTS
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        known |= right if version >= since else 0
    rules = _Ruleset(known, _NET_RIGHTS, _SCOPES)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _syscall("landlock", _LANDLOCK_CREATE, ctypes.byref(rules), size, 0)
    work = known & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL)
    allowed = [
        (WORK, work),
        *((path, _READ_FILE | _READ_DIR | _EXECUTE) for path in readable),
        *((path, _READ_FILE | _WRITE_FILE) for path in devices),
    ]
    for path, rights in allowed:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(path):
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE
        rule = _Beneath(rights, parent)
        _syscall(f"landlock {path}", _LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0)
        os.close(parent)
    _syscall("landlock", _LANDLOCK_RESTRICT, ruleset, 0)
