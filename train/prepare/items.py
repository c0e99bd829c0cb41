"""One file of a pile: what it is called, and its bytes or the place where they lie."""

from dataclasses import dataclass


MAX_BYTES = 128 * 1024**2
LONGEST_NAME = 4096  # characters; in a tar it may have a million, and so may each of thousands in a report


@dataclass(frozen=True)
class Place:
    """Say where bytes lie open on the disk, a file or a member of a plain tar: whoever needs them reads them there.

    `stamp` is when the file was written, in nanoseconds.
    """

    path: str
    offset: int
    size: int
    stamp: int

    def read(self) -> bytes:
        """Return the bytes. Raises OSError."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class Item:
    """Describe one file of a source: its name with the source in front, and its bytes, where they lie, or why not.

    Args:
        name: with the source in front.
        content: the bytes, or where they lie; None where there are none.
        reason: a key of `train.prepare.clean.REASONS`, or `skipped` for junk and what is no file.
        detail: says more about the reason.
        genre: what the file is labelled with by its source.
        is_row: it comes from a table, so that where it lies is no genre.
    """

    name: str
    content: bytes | Place | None
    reason: str | None = None
    detail: str = ""
    genre: str | None = None
    is_row: bool = False

    def read(self) -> bytes:
        """Return the file's bytes, from where they are; none where there are none. Raises OSError."""
        return self.content.read() if isinstance(self.content, Place) else self.content or b""

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return self.content.size if isinstance(self.content, Place) else len(self.content or b"")


def too_large(name: str, size: int) -> Item:
    """Return the refusal of a file of `size` bytes."""
    return Item(name, None, "too-large", f"{size / 1024**2:,.0f} MiB")


def text(name: str) -> str:
    """Return a name that can be written: bytes that are no UTF-8 become the replacement sign, and of one longer than
    any path its middle becomes an ellipsis."""
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2]}…{name[-LONGEST_NAME // 2 :]}"
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
