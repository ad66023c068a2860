"""What can go wrong in the store, each with what to do about it."""

import errno


class ArtifactError(Exception):
    """Base class of every error that this package raises on purpose."""


class InvalidRequest(ArtifactError):
    """A request cannot be written as canonical JSON, or a key is no key."""


class InvalidStoreURL(ArtifactError):
    """The text does not name a store."""


class UnknownKey(ArtifactError):
    """No entry, or more than one, begins with what was given as a key."""


class StoreFull(ArtifactError):
    """The disk or a quota has no room for what was to be kept."""


class StoreNotWritable(ArtifactError):
    """The store may be read and not written."""


class StoreUnavailable(ArtifactError):
    """The store does not answer, or refuses access."""


class BlobDamaged(ArtifactError):
    """A blob is gone or its bytes do not match its digest; it has been removed, so that its entry is a miss.

    `digest` is the SHA-256 that the bytes ought to have.
    """

    def __init__(self, digest: str, message: str) -> None:
        super().__init__(digest, message)
        self.digest = digest

    def __str__(self) -> str:
        return str(self.args[1])


def cannot_write(error: OSError, store: str) -> ArtifactError:
    """The typed error for an operating-system error met while writing to the folder store `store`."""
    where = f"{error.filename or store}: {error.strerror or error}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StoreFull(
            f"no room left in the store {store} ({where}); make room with "
            f"`skimflow cache gc --max-size SIZE` or choose another store with SKIMFLOW_STORE"
        )
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
        return StoreNotWritable(
            f"the store {store} cannot be written ({where}); "
            f"mend its permissions or choose another store with SKIMFLOW_STORE"
        )
    return StoreUnavailable(f"the store {store} cannot be written ({where}); check the folder and its disk")


def cannot_read(error: OSError, store: str) -> ArtifactError:
    """The typed error for an operating-system error met while reading from the folder store `store`."""
    where = f"{error.filename or store}: {error.strerror or error}"
    return StoreUnavailable(f"the store {store} cannot be read ({where}); check its owner and disk")
