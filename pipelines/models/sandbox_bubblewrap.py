"""The command line of bubblewrap (bwrap(1), 0.5 and later) for a view of the machine.

It makes the namespaces and the new root; work folder, limits, Landlock and the seccomp filter are
the keeper's business in both back ends, which runs here as process 1 (`--as-pid-1`). The rights
added are those the keeper gives up before the program starts. Run by root, bubblewrap makes no user
namespace; the keeper makes one as nobody.
"""

from pathlib import Path

from pipelines.models.sandbox_launcher import WORK
from pipelines.models.sandbox_view import View


def bubblewrap_command(program: str, view: View, *, privileged: bool, inner: int) -> list[str]:
    """What stands before the launcher's own command.

    Args:
        program: Path of bubblewrap.
        view: What to show.
        privileged: Whether root runs it.
        inner: User and group within, for an ordinary user.
    """
    command = [program, "--as-pid-1", "--die-with-parent", "--hostname", "sandbox"]
    command += [f"--unshare-{one}" for one in ("pid", "net", "ipc", "uts", "cgroup-try")]
    rights = ["SYS_ADMIN", "SYS_PTRACE", "SETPCAP"]
    if privileged:
        rights += ["SETUID", "SETGID"]
    else:
        command += ["--unshare-user", "--uid", str(inner), "--gid", str(inner)]
    for right in rights:
        command += ["--cap-add", f"CAP_{right}"]
    # Left to itself, bubblewrap makes the folder of a single file for its own user only.
    inside = [*(path for _, path in view.shown), *(path for path, _ in view.links), *view.devices]
    parents = {str(folder) for path in inside for folder in list(Path(path).parents)[:-1]}
    for folder in sorted(parents - {path for path, _ in view.links}):
        command += ["--perms", "0755", "--dir", folder]
    for source, target in view.shown:
        command += ["--ro-bind", source, target]
    for hidden in view.hidden:
        command += ["--tmpfs", hidden, "--remount-ro", hidden]
    for link, target in view.links:
        command += ["--symlink", target, link]
    for device in view.devices:
        command += ["--dev-bind", device, device]
    command += ["--dir", WORK, "--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--"]
    return command
