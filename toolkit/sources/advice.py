"""What to do about an error of the Hub client, by its class or the status of the answer. The client itself retries 408,
429, 5xx and broken connections, with backoff; this is of what remains.
"""

ADVICE = {
    "OfflineModeIsEnabled": "offline mode is on (HF_HUB_OFFLINE); unset it, or pass a local folder",
    "LocalEntryNotFoundError": (
        "offline, and not in the local cache; download it once with the network on, or pass a local folder"
    ),
    "IncompleteSnapshotError": (
        "offline, and only part of it is in the local cache; download it once with the "
        "network on, or pass a local folder"
    ),
    "GatedRepoError": "access must be granted on the Hub; ask for it there, then log in with `hf auth login`",
    "RepositoryNotFoundError": (
        "no such dataset, or it is private; check the name, log in with `hf auth login` or pass token="
    ),
    "RevisionNotFoundError": "no such branch, tag or commit",
    "RemoteEntryNotFoundError": "no such file in the repository",
    "EntryNotFoundError": "no such file in the repository",
}
STATUS_ADVICE = {
    401: "not logged in, or the token is not valid; log in with `hf auth login` or pass token=",
    403: "the token may not read this; log in with another or ask for access",
    404: "not found",
    429: "the Hub asks to slow down, also after waiting; try again later or log in for a higher limit",
}


def advice(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None) or 0
    if known := ADVICE.get(type(error).__name__) or STATUS_ADVICE.get(status):
        return known
    if status >= 500:
        return f"the Hub answers {status}, also after waiting; try again later"
    found = str(error).splitlines()[0] if str(error) else "no message"
    return (
        f"cannot be read: {type(error).__name__}: {found}; check the network and try again, or set HF_HUB_OFFLINE=1 to "
        "use what was downloaded before"
    )
