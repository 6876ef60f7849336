"""Runs as a script, before a child: ties the child's life to its parent, then becomes the child.

    python -I -S launch.py PARENT_PID SIGNAL USER COMMAND...

Without it a `kill -9` of the parent would leave servers behind that hold ports and data. A `preexec_fn` would do the
same, but is not safe in a parent with threads. USER is empty, or the user to run as (Postgres refuses to run as root).
Only the standard library is imported: this costs about 15 ms a child.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent_pid: int, signal_number: int, user: str, command: list[str]) -> None:
    if user:
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        # After the change of user, which clears it. It survives the exec below.
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent_pid:
            sys.exit("the parent process has gone")
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execv(command[0], command)  # noqa: S606 - a fixed command, and no shell is the point


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
