"""What lies in place of a file that was not really downloaded."""

IMPOSTORS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`",
    b"<!doctype": "an HTML page in place of the file; download it again",
    b"<html": "an HTML page in place of the file; download it again",
}


def impostor(head: bytes) -> str:
    """What a file is by its first bytes, and what to do; "" if it is none of these."""
    start = head.lstrip()[:32].lower()
    return next((what for mark, what in IMPOSTORS.items() if start.startswith(mark)), "")
