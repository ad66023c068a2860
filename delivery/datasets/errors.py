"""Why a dataset's files were not found."""

from typing import Literal

from delivery.errors import DeliveryError
from delivery.urls import without_secrets

LookupStatus = Literal["does_not_exist", "bad_name", "internal_failure"]
"""The three kinds that ServiceX's clients know: no such dataset, no such name, our or a catalogue's failure."""


class DatasetError(DeliveryError):
    """A dataset has no files that we could find; `lookup_status` is the kind, the message one sentence."""

    def __init__(self, lookup_status: LookupStatus, reason: str) -> None:
        super().__init__(lookup_status, without_secrets(reason))
        self.lookup_status: LookupStatus = lookup_status

    def sentence(self) -> str:
        """What was wrong."""
        return str(self.args[1])
