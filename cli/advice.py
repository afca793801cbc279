"""What to do next, said after what went wrong."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statecast import StatecastError
    from training.errors import DataError


def on_refusal(error: "StatecastError") -> str:
    """After what a server said; begins with a semicolon, and is empty where the server's words say it."""
    import statecast as sdk

    match error:
        case sdk.Unauthenticated():
            return "; show a token by --token-file or in STATECAST_TOKEN; `statecast tokens new` makes them"
        case sdk.PermissionDenied():
            return "; show a token that may, by --token-file or in STATECAST_TOKEN"
        case sdk.Unavailable():
            return "; is `statecast serve` running there, with TLS (--tls-ca)? --server names another"
        case sdk.Unacknowledged():
            return "; send again: rows that were taken count once. --retry-budget-s waits longer"
        case sdk.Overloaded():
            return "; nothing was applied: send again later, or less at a time"
        case sdk.Unsupported():
            return "; is it a statecast server of this version? `statecast health` asks"
        case sdk.DataLoss():
            return "; `statecast sessions reset` begins the session anew"
        case sdk.SessionMismatch():
            return "; `statecast sessions reset` begins it anew, on the version that is served"
        case sdk.InternalError():
            return "; the server's log has more of it"
        case sdk.NotFound(field="session_id"):
            return "; `statecast sessions ls` lists those there are"
    return ""


def on_file(error: OSError, path: object, next_step: str) -> str:
    """A file that cannot be read or written: which, why, and what to do."""
    return f"{error.filename or path}: {error.strerror or error}; {next_step}"


def on_data(error: "DataError") -> str:
    """After what is wrong with a file of series."""
    if error.expected.startswith("a column "):
        return "; --time-column, --id-column and --target say what the file's are called"
    if error.expected == "a file":
        return "; --data names a CSV or Parquet file"
    return ""
