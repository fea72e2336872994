"""What the operating system tells of a process that says nothing itself."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path


def spent(process: int | None) -> str | None:
    """The time of the processor that a process has had, as the system writes it: it changes while
    the process works. None where the system does not tell."""
    with suppress(OSError, IndexError):
        # the two fields after the name, which may itself hold spaces and brackets
        return " ".join(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13])
    with suppress(OSError, subprocess.SubprocessError):
        if os.name == "posix":
            words = ["ps", "-o", "time=", "-p", str(process)]
            return subprocess.run(words, capture_output=True, text=True, timeout=5).stdout
    return None
