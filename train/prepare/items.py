"""One file of a pile: what it is called, and its bytes or the place where they lie."""

from dataclasses import dataclass


MAX_BYTES = 128 * 1024**2


@dataclass(frozen=True)
class Place:
    """Bytes that lie open on the disk, a file or a member of a plain tar: whoever needs them reads them there.

    `stamp` is when the file was written, in nanoseconds.
    """

    path: str
    offset: int
    size: int
    stamp: int

    def read(self) -> bytes:
        """The bytes. Raises OSError."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True)
class Item:
    """One file of a source: its name with the source in front, and its bytes or where they lie, or why there are none.

    `reason` is a key of `train.clean.REASONS`, or `skipped` for what an operating system leaves behind. `genre` is
    what the file is labelled with.
    """

    name: str
    content: bytes | Place | None
    reason: str | None = None
    detail: str = ""
    genre: str | None = None

    def read(self) -> bytes:
        """The file's bytes, from where they are; none where there are none. Raises OSError."""
        return self.content.read() if isinstance(self.content, Place) else self.content or b""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.size if isinstance(self.content, Place) else len(self.content or b"")


def is_junk(path: str) -> bool:
    """What an operating system adds to folders and archives, and hidden files."""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1:] in (
        ["Thumbs.db"],
        ["desktop.ini"],
    )


def too_large(name: str, size: int) -> Item:
    """The refusal of a file of `size` bytes."""
    return Item(name, None, "too-large", f"{size / 1024**2:,.0f} MiB")


def text(name: str) -> str:
    """A name that can be written: bytes that are no UTF-8 become the replacement sign."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
