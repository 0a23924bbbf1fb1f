"""Pictures for the tests of images."""

from __future__ import annotations

import base64
import io

from PIL import Image

SECRET = "taken by A. Nonymous"
DOT = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")
"""A PNG of one pixel."""


def drawn(width: int = 64, height: int = 48, *, shade: int = 128) -> Image.Image:
    """Grey, with a white corner at the upper left."""
    image = Image.new("RGB", (width, height), (shade, shade, shade))
    image.paste((255, 255, 255), (0, 0, width // 4, height // 4))
    return image


def picture(kind: str = "JPEG", *, orientation: int = 1, shade: int = 128, note: str = SECRET) -> bytes:
    """A picture with EXIF that tells who took it and where, and which side is up."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x013B] = note
    exif.get_ifd(0x8825)[1] = "N"
    out = io.BytesIO()
    drawn(shade=shade).save(out, kind, exif=exif, **({"comment": note.encode()} if kind == "JPEG" else {}))
    return out.getvalue()
