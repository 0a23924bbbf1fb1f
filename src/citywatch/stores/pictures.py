"""One image as it may be kept: its type by its content, nothing in it but the picture itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from citywatch.errors import MediaError, MediaTooLargeError

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 50_000_000
"""A small file that would unpack to more is refused before it is unpacked."""

TYPES = {
    "JPEG": ("image/jpeg", "jpg"),
    "MPO": ("image/jpeg", "jpg"),
    "PNG": ("image/png", "png"),
    "WEBP": ("image/webp", "webp"),
}
"""Pillow's name of a format -> (media type, ending of the file). MPO is a JPEG with further pictures behind it."""

_KEPT = ("icc_profile", "transparency", "gamma")
"""What of a file's notes belongs to how the picture looks."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image without metadata, upright. `width` and `height` in pixels."""

    content: bytes
    type: str
    width: int
    height: int

    @property
    def ending(self) -> str:
        """Of the name of its file."""
        return next(ending for type_, ending in TYPES.values() if type_ == self.type)


def clean(content: bytes, *, limit: int) -> Picture:
    """The picture in `content`, unpacked and packed anew, so that nothing else travels with it.

    EXIF, GPS, comments, previews and what stands behind the picture are gone; the orientation that EXIF asked for is
    applied. Raises MediaError for what is no JPEG, PNG or WebP, is damaged, moves, or is larger than `limit` bytes or
    MOST_PIXELS.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - only those that get images pay for it

    if len(content) > limit:
        raise MediaTooLargeError(
            f"the image has {len(content):,} bytes, at most {limit:,} are kept",
            hint="send it smaller, or raise the setting image_bytes",
        )
    try:
        # An image that says it is huge is refused by its header; Pillow's own limit never comes into play.
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG", "WEBP"]) as found:
            _check(found)
            return _packed(found)
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError("this is no JPEG, PNG or WebP image that can be kept") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise MediaError(f"the image is damaged: {error}", hint="send it again") from error


def _check(found: Image.Image) -> None:
    width, height = found.size
    if width * height > MOST_PIXELS:
        raise MediaTooLargeError(f"the image has {width} x {height} pixels, at most {MOST_PIXELS:,} are kept")
    if found.format != "MPO" and getattr(found, "n_frames", 1) > 1:
        raise MediaError("the image moves: an animation is no picture of one moment")


def _packed(found: Image.Image) -> Picture:
    from PIL import ImageOps  # noqa: PLC0415 - as above

    upright = found.getexif().get(_ORIENTATION, 1) in (1, 0)
    found.load()
    image = found if upright else ImageOps.exif_transpose(found)
    image.info = {name: value for name, value in found.info.items() if name in _KEPT}
    out = io.BytesIO()
    match found.format:
        case "JPEG" if upright:
            # The same tables: what changes is less than what the camera's own packing did.
            image.save(out, "JPEG", quality="keep", subsampling="keep", icc_profile=image.info.get("icc_profile"))
        case "JPEG" | "MPO":
            image.save(out, "JPEG", quality=95, icc_profile=image.info.get("icc_profile"))
        case "WEBP":
            image.save(out, "WEBP", quality=95, icc_profile=image.info.get("icc_profile"))
        case _:
            image.save(out, "PNG")
    return Picture(out.getvalue(), TYPES[str(found.format)][0], *image.size)


_ORIENTATION = 0x0112
