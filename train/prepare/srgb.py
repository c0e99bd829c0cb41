"""Any picture that Pillow decodes to 8-bit sRGB."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms


PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(image: Image.Image) -> Image.Image:
    """Bring a loaded picture of any mode to RGB in sRGB: transparency onto white, 16 bits scaled and not clipped.

    An embedded colour profile is followed where it is sound and fits the mode, and otherwise left aside.
    """
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_grey(image)
    elif image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = _on_white(image)
    elif image.mode == "LAB":
        return ImageCms.applyTransform(image, _transform(None, "LAB"))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in PROFILE_SPACES:
        image = image.convert("RGB")
    transform = _transform(profile, image.mode) if profile else None
    if transform:
        return ImageCms.applyTransform(image, transform)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    """Modes I;16, I and F, which Pillow itself would clip at 255."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
    if image.mode == "F":
        white = 1.0 if values.max() <= 1 else 255.0
    else:
        white = 65535.0 if values.max() <= 65535 else 2.0**31 - 1
    values *= 255 / white
    return Image.fromarray(np.rint(values, out=values).clip(0, 255, out=values).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


@lru_cache(maxsize=64)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from `profile` to sRGB for pictures of `mode`; None if there is none to follow. LAB needs no profile."""
    srgb = ImageCms.createProfile("sRGB")
    try:
        if profile is None:
            return ImageCms.buildTransform(ImageCms.createProfile("LAB"), srgb, mode, "RGB")
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != PROFILE_SPACES[mode]:
            return None
        # Most profiles are sRGB under one name or another; following them would only add rounding.
        if mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, srgb, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
