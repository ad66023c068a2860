"""What can be wrong with a file that is read or written."""

import errno
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from delivery.errors.base import DeliveryError
from delivery.urls import shown, without_secrets


class UnreadableFile(DeliveryError):
    """The file is damaged, truncated, absent, or no ROOT file."""

    file: str

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = shown(file), without_secrets(reason, file)
        super().__init__(self.file, self.reason)

    def sentence(self) -> str:
        """What was wrong."""
        return f"cannot read {self.file}: {self.reason}"


class InputUnreachable(UnreadableFile):
    """The file could not be reached this time (network or storage failed); trying again may help."""

    transient: ClassVar[bool] = True
    hint = "try again later"


class OutOfMemory(UnreadableFile):
    """Memory did not suffice for what is asked of the file, or for what a damaged length in it asks for."""

    hint = (
        "ask for fewer columns or fewer pairs, or have workers with more memory; other copies of the file may be whole"
    )

    def sentence(self) -> str:
        """What was wrong."""
        return f"there is not enough memory for what is asked of {self.file}: {self.reason}"


class MissingFile(UnreadableFile):
    """There is no such file; ``near`` has the nearest names in its folder."""

    hint = "give the path of a file that is there"

    def __init__(self, file: str, reason: str = "it does not exist", near: Sequence[str] = ()) -> None:
        super().__init__(file, reason)
        self.args = (self.file, self.reason, tuple(near))
        self.near = tuple(near)

    def sentence(self) -> str:
        """What was wrong, and what is there."""
        return super().sentence() + (f"; near: {', '.join(self.near)}" if self.near else "")

    def suggestions(self) -> Mapping[str, tuple[str, ...]]:
        """The nearest names in the file's folder."""
        return {self.file.rsplit("/", 1)[-1]: self.near} if self.near else {}


class NotARootFile(UnreadableFile):
    """The file is something else than ROOT (a web page, a text file, a pointer of git-lfs), or empty."""

    hint = "give a ROOT file; a login page or an error message that was saved as one has to be fetched again"


class TruncatedFile(UnreadableFile):
    """The file is shorter than its header says."""

    hint = "copy it again from where it came; if it is short there too, the job that wrote it died and must run again"


class CorruptBasket(UnreadableFile):
    """A basket of a TTree's branch, or a page of an RNTuple's field, contradicts itself or its checksum."""

    hint = "copy the file again from where it came; if that is damaged too, leave it out or select without this column"

    def __init__(
        self, file: str, branch: str, number: int, reason: str, unit: Literal["basket", "page"] = "basket"
    ) -> None:
        of = "branch" if unit == "basket" else "field"
        super().__init__(file, f"{unit} {number} of {of} {branch} is damaged: {reason}")
        self.args = (self.file, branch, number, without_secrets(reason, file), unit)
        self.branch, self.number, self.unit = branch, number, unit


class OutputUnwritable(DeliveryError):
    """The result could not be written: disk full, no permission, no such folder."""

    file: str
    hint = "give another place for the output, or make room there"

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = shown(file), without_secrets(reason, file)
        super().__init__(self.file, self.reason)

    @classmethod
    def because(cls, file: str, error: OSError) -> "OutputUnwritable":
        """The error that the system's refusal to write ``file`` means."""
        reasons = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "your quota on that disk is used up",
            errno.EROFS: "that disk is read-only",
            errno.EACCES: "you may not write there",
            errno.EPERM: "you may not write there",
            errno.ENOENT: "its folder does not exist",
            errno.ENOTDIR: "what should be its folder is a file",
            errno.EISDIR: "it is a folder",
        }
        return cls(file, reasons.get(error.errno or 0) or error.strerror or str(error))

    def sentence(self) -> str:
        """What was wrong."""
        return f"cannot write {self.file}: {self.reason}"


class UnknownTree(DeliveryError):
    """The file has no tree of the wanted name (or none at all)."""

    file: str

    def __init__(self, file: str, tree: str | None, trees: Sequence[str]) -> None:
        self.file, self.tree, self.trees = shown(file), tree, tuple(trees)
        super().__init__(self.file, tree, self.trees)
        self.hint = "name one of them, or none for the first" if trees else "give a file that holds a TTree or RNTuple"

    def sentence(self) -> str:
        """What was wrong, and what is there."""
        wanted = "no tree" if self.tree is None else f"no tree {self.tree!r}"
        there = ", ".join(repr(name) for name in self.trees) or "none"
        return f"{self.file} has {wanted}; trees in the file: {there}"

    def suggestions(self) -> Mapping[str, tuple[str, ...]]:
        """The trees that there are."""
        return {self.tree: self.trees} if self.tree is not None else {}
