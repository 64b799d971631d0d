"""Every failure that a person can do something about, as one small tree.

    PrefArgillaError
    ├── UsageError            the command line or a call's arguments make no sense (exit 2)
    ├── ConfigError           pref-argilla.toml, guidelines or an environment variable
    ├── InputError            a file of prompts or completions that cannot be used
    ├── StoreError            the project's store.db
    │   ├── StoreBusyError        another command is writing
    │   ├── StoreFullError        the disk took no more
    │   └── StoreVersionError     written by a newer pref-argilla
    ├── ModelError            an OpenAI-compatible endpoint
    │   ├── ModelAccessError      wrong key, no rights, unknown model: asking again cannot help
    │   ├── ModelUnavailableError the endpoint did not answer after every retry
    │   ├── RequestRejectedError  this one request is refused (too long, not understood): asking again cannot help
    │   └── BudgetError           the spend limit is reached
    ├── EncoderError          the embedding model
    ├── LabelingError         an Argilla server
    │   ├── LabelingUnreachableError
    │   ├── LabelingAccessError   wrong key, no workspace rights
    │   └── LabelingDataError     the server refused what was sent, or sent what cannot be read
    ├── ServerError           the embedded Argilla: cannot be set up, started or stopped
    └── ExportError           an export that would be empty, or a folder that cannot be written

Only these become a message and exit code 1; anything else is a bug and shows its traceback. Foreign exceptions are
translated once, at the seam where they enter (``llm.py``, ``labeling/``, ``store.py``, ``server.py``).
"""

from __future__ import annotations


class PrefArgillaError(Exception):
    """An expected failure.

    ``what`` names the thing that failed, ``cause`` the likely reason, ``next_step`` what to run or change next.
    No field may hold a key or a password.
    """

    exit_code = 1

    def __init__(self, what: str, *, cause: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.cause, self.next_step) if part)


class UsageError(PrefArgillaError):
    exit_code = 2


class ConfigError(PrefArgillaError):
    pass


class InputError(PrefArgillaError):
    pass


class StoreError(PrefArgillaError):
    pass


class StoreBusyError(StoreError):
    pass


class StoreFullError(StoreError):
    pass


class StoreVersionError(StoreError):
    pass


class ModelError(PrefArgillaError):
    pass


class ModelAccessError(ModelError):
    pass


class ModelUnavailableError(ModelError):
    pass


class RequestRejectedError(ModelError):
    pass


class BudgetError(ModelError):
    pass


class EncoderError(PrefArgillaError):
    pass


class LabelingError(PrefArgillaError):
    pass


class LabelingUnreachableError(LabelingError):
    pass


class LabelingAccessError(LabelingError):
    pass


class LabelingDataError(LabelingError):
    pass


class ServerError(PrefArgillaError):
    pass


class ExportError(PrefArgillaError):
    pass
