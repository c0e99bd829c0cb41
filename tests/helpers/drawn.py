"""Album covers for tests, drawn from a seed: shapes on a ground, with stripes where the text would be.

Also the files that covers come in: every mode and format, damage of every kind, archives.
"""

import io
import struct
import tarfile
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw


def draw_cover(seed: int, size: int = 96) -> Image.Image:
    """Draw one cover, mode RGB, `size` x `size` pixels; the same seed gives the same picture, another one another."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (6, 3))
    across = np.linspace(0, 1, size)[None, :, None]
    ground = colours[0] * (1 - across) + colours[1] * across
    image = Image.fromarray(np.broadcast_to(ground, (size, size, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for colour in colours[2:5]:
        left, top, width, height = random.uniform([0, 0, 0.2, 0.2], [0.6, 0.6, 0.7, 0.7]) * size
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((left, top, left + width, top + height), fill=tuple(colour.tolist()))
    for line in range(random.integers(1, 4)):
        top = 0.08 + 0.1 * line
        for word in np.arange(0.08, random.uniform(0.4, 0.9), 0.17):
            box = np.array((word, top, word + 0.13, top + 0.05)) * size
            draw.rectangle(tuple(box.tolist()), fill=tuple(colours[5].tolist()))
    return image


def draw_dataset(folder: Path, count: int, size: int = 96) -> Path:
    """Write the covers of seeds 0 .. count - 1 as `cover-0000.png` and so on into `folder`, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        draw_cover(seed, size).save(folder / f"cover-{seed:04d}.png")
    return folder


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    stored = io.BytesIO()
    picture.save(stored, kind, **options)
    return stored.getvalue()


def grey(seed: int) -> Image.Image:
    return draw_cover(seed).convert("L")


def half_clear(seed: int, mode: str) -> tuple[Image.Image, Image.Image]:
    """A cover whose left half is transparent, and how it must look on white."""
    opaque = draw_cover(seed).convert("L" if mode == "LA" else "RGB")
    clear = opaque.copy()
    clear.putalpha(Image.fromarray(np.repeat(np.uint8([[0] * 48 + [255] * 48]), 96, axis=0)))
    white = opaque.convert("RGB")
    white.paste("white", (0, 0, 48, 96))
    return clear, white


def palette_with_transparency(seed: int) -> tuple[bytes, Image.Image]:
    _, expected = half_clear(seed, "RGBA")
    indexed = draw_cover(seed).quantize(200)
    colours = indexed.getpalette()
    clear = len(colours) // 3
    indexed.putpalette([*colours, 0, 0, 0])
    indexed.paste(clear, (0, 0, 48, 96))
    return encode(indexed, "PNG", transparency=clear), expected


def swapped_profile() -> bytes:
    """sRGB's profile with red and blue exchanged, under another name."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"bXYZ"), (b"rTRC", b"bTRC")):
        profile = profile.replace(one, b"????").replace(other, one).replace(b"????", other)
    return profile.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def good_files() -> dict[str, tuple[bytes, Image.Image]]:
    """File name -> the file, and the picture that must come out of it."""
    jpeg = partial(encode, kind="JPEG", quality=95, subsampling=0)
    sixteen = np.asarray(grey(10), dtype=np.uint16) * 257
    lab = ImageCms.applyTransform(draw_cover(12), ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"))  # fmt: skip
    (rgba, on_white), (la, grey_on_white) = half_clear(13, "RGBA"), half_clear(14, "LA")
    floats = Image.fromarray(np.asarray(grey(15), dtype=np.float32) / 255)
    red, green, blue = draw_cover(16).split()
    swapped = Image.merge("RGB", (blue, green, red))
    wide = Image.new("RGB", (150, 96))
    wide.paste(draw_cover(17), (27, 0))
    turned = draw_cover(18).transpose(Image.Transpose.ROTATE_90)
    icc = swapped_profile()
    return {
        "plain.png": (encode(draw_cover(1), "PNG"), draw_cover(1)),
        "colour.jpg": (jpeg(draw_cover(2)), draw_cover(2)),
        "progressive.jpg": (jpeg(draw_cover(3), progressive=True), draw_cover(3)),
        "grey.jpg": (jpeg(grey(4)), grey(4)),
        "cmyk.jpg": (jpeg(draw_cover(5).convert("CMYK")), draw_cover(5)),
        "jpeg-inside.png": (jpeg(draw_cover(6)), draw_cover(6)),
        "two-views.jpg": (
            jpeg(draw_cover(7), kind="MPO", save_all=True, append_images=[draw_cover(70)]),
            draw_cover(7),
        ),
        "palette.png": palette_with_transparency(8),
        "one-bit.png": (encode(draw_cover(9).convert("1"), "PNG"), draw_cover(9).convert("1")),
        "sixteen-bit.png": (encode(Image.fromarray(sixteen), "PNG"), grey(10)),
        "cmyk.tif": (encode(draw_cover(11).convert("CMYK"), "TIFF", compression="tiff_lzw"), draw_cover(11)),
        "ycbcr.jp2": (encode(draw_cover(23).convert("YCbCr"), "JPEG2000"), draw_cover(23)),
        "lab.tif": (encode(lab, "TIFF"), draw_cover(12)),
        "rgba.png": (encode(rgba, "PNG"), on_white),
        "la.png": (encode(la, "PNG"), grey_on_white),
        "float.tif": (encode(floats, "TIFF"), grey(15)),
        "profile.jpg": (jpeg(swapped, icc_profile=icc), draw_cover(16)),
        "wide.webp": (encode(wide, "WEBP", lossless=True), draw_cover(17)),
        "turned.jpg": (jpeg(turned, exif=exif(6)), draw_cover(18)),
        "bad-exif.jpg": (jpeg(draw_cover(19), exif=b"Exif\0\0MM\0*\xff"), draw_cover(19)),
        "worse-exif.png": (encode(draw_cover(24), "PNG", exif=b"Exif\0\0nonsense"), draw_cover(24)),
        "bad-profile.png": (encode(draw_cover(20), "PNG", icc_profile=b"nonsense"), draw_cover(20)),
        "still.gif": (encode(draw_cover(21), "GIF"), draw_cover(21)),
        "small.bmp": (encode(draw_cover(22, 40), "BMP"), draw_cover(22, 40)),
    }


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that declares `side` x `side` pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b""))
    packed = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def bad_files() -> dict[str, tuple[bytes, str]]:
    """File name -> the file, and the reason for which it must be refused."""
    jpeg, png = encode(draw_cover(40, 200), "JPEG", quality=95), encode(draw_cover(41), "PNG")
    # A stray marker in the scan, which Pillow decodes into a picture without a word.
    garbage = jpeg[: len(jpeg) // 2] + b"\xff\xd4" + jpeg[len(jpeg) // 2 + 2 :]
    Image.open(io.BytesIO(garbage)).load()
    frames = {"save_all": True, "append_images": [draw_cover(43), draw_cover(44)]}
    return {
        "empty.jpg": (b"", "empty-file"),
        "page.png": (b"<!doctype html><title>404</title>", "wrong-content"),
        "notes.txt": (b"plain text", "not-an-image"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "garbage.jpg": (garbage, "damaged-jpeg"),
        "lone-start.jpg": (jpeg[:3], "damaged-jpeg"),
        "cut.png": (png[: len(png) // 2], "truncated"),
        "scrambled.png": (png[:60] + bytes(40) + png[100:], "cannot-be-decoded"),
        "moving.gif": (encode(draw_cover(42), "GIF", **frames), "animated"),
        "moving.png": (encode(draw_cover(42), "PNG", **frames), "animated"),
        "moving.webp": (encode(draw_cover(42), "WEBP", **frames), "animated"),
        "bomb.png": (bomb(30_000), "decompression-bomb"),
        "smaller-bomb.png": (bomb(11_000), "decompression-bomb"),
        "banner.png": (encode(Image.new("RGB", (300, 100)), "PNG"), "too-elongated"),
        "icon.png": (encode(draw_cover(45, 31), "PNG"), "too-small"),
        "<b>&.png": (b"<b>plain text</b>", "wrong-content"),
    }


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
