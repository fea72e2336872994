"""What is said of an error: one sentence, and what would mend it. Imports nothing heavy."""

import errno

_GO_ON = (
    "; what is there is whole, and goes on: give the same command again, a fit that has begun "
    "--resume and its folder"
)
#: What is to be done where a file could not be written.
_REMEDIES = {
    errno.ENOSPC: f". Make room there{_GO_ON}",
    errno.EDQUOT: f". Make room there, or have the quota raised{_GO_ON}",
    errno.EROFS: f". Make it writable, or choose another place{_GO_ON}",
    errno.EIO: f". The disk may be failing: copy what is there to another{_GO_ON}",
}


def sentence_of(error: BaseException) -> str:
    """The error in one sentence."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}{_REMEDIES.get(error.errno or 0, '')}."
    text = " ".join(str(error).split())
    return text or f"{type(error).__name__} without a message."
