"""The ways an API refuses, told apart by what the loader has to do next."""

from pydantic import ValidationError


class ApiError(Exception):
    """A request failed for good; the text says what, for which stream and window, and what to do."""


class KeyRejectedError(ApiError):
    """The credentials are wrong: no stream can load."""


class UnreachableError(ApiError):
    """Nobody takes a connection at the address: no stream can load now, and each would wait as long to find out."""


class ScopeMissingError(ApiError):
    """The key lacks one permission: this stream is skipped, the others load."""

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class QuotaExhaustedError(ApiError):
    """Waiting would outlast the patience setting: the load ends as partial and resumes later."""


class CursorLostError(ApiError):
    """The paging sequence cannot go on (expired or repeating cursor): its window starts again."""


class BadAnswerError(ApiError):
    """The answer is not what the endpoint is documented to return."""


class TypeFlipError(ApiError):
    """A field changed its type: the stream stops before anything wrong is written."""


class LoadFailedError(Exception):
    """Postgres did not take a package: nothing of it counts as done, the next run reads it again."""


def wrong_settings(error: ValidationError, *, prefix: str) -> str:
    """Which variables are wrong and why, without their values: one of them may be a secret."""
    return "; ".join(
        f"{prefix}{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
        for item in error.errors(include_input=False)
    )
