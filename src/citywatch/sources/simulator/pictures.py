"""The pictures that drones send: a street with its sign, a vehicle from behind, and its plate.

One in ten is hard to read: too dark, blurred, in the rain, glaring, or from far away.
"""

from __future__ import annotations

import base64
import hashlib
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from citywatch.sources.simulator.draws import Draws, Integers

WIDTH, HEIGHT = 640, 360
HARD_SHARE = 0.1
"""Of all pictures: those that are hard to read."""
_QUALITY = 80
_HORIZON = 150
_VARIANTS = 4

_PAINT = {
    "black": (38, 38, 42), "white": (232, 232, 230), "gray": (120, 122, 126), "silver": (178, 182, 186),
    "blue": (42, 72, 140), "red": (156, 32, 34), "green": (38, 96, 60), "yellow": (226, 184, 44),
}  # fmt: skip
_SHAPES = {"sedan": (1.0, 0.95), "suv": (1.05, 1.2), "van": (1.05, 1.4), "pickup": (1.1, 1.1), "truck": (1.2, 1.6)}
"""Width and height of a vehicle's body, relative to those of a middle one; others are like a sedan."""
_NIGHT = 0.45
"""How bright a picture is at night."""


@dataclass(frozen=True, slots=True)
class Shot:
    """What is on a picture: the same shot is the same picture, to the byte."""

    plate: str
    street: str
    color: str
    body: str
    day: bool
    hard: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG as it stands in a message: base64, and the SHA-256 of its bytes, which is its image_id."""

    image_id: str
    text: str


def hard(draws: Draws, numbers: Integers) -> list[bool]:
    """Which pictures are hard to read."""
    chosen: list[bool] = (draws.unit(numbers, "hard to read") < HARD_SHARE).tolist()
    return chosen


@lru_cache(maxsize=512)
def picture(shot: Shot) -> Picture:
    """The picture of a shot: some milliseconds of work, remembered until the event that brings it."""
    jpeg = draw(shot)
    return Picture(hashlib.sha256(jpeg).hexdigest(), base64.b64encode(jpeg).decode())


def draw(shot: Shot) -> bytes:
    """The JPEG of a shot."""
    chance = random.Random(shot.seed)  # noqa: S311 - a game of chance that has to be repeatable
    spoil = chance.choice(_SPOILED) if shot.hard else None
    image = _street(shot.day, chance.randrange(_VARIANTS)).copy()
    pen = ImageDraw.Draw(image)
    _sign(pen, shot.street)
    scale = 0.5 if spoil is _from_far_away else chance.uniform(0.95, 1.15)
    _vehicle(pen, shot, scale, chance.randrange(250, 390))
    if not shot.day:
        image = ImageEnhance.Brightness(image).enhance(_NIGHT)
    if spoil is not None:
        image = spoil(image, chance)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@cache
def _street(day: bool, variant: int) -> Image.Image:
    """Sky, houses, pavement and road, without anybody."""
    chance = random.Random(variant)  # noqa: S311 - a game of chance that has to be repeatable
    image = Image.new("RGB", (WIDTH, HEIGHT), (168, 196, 222) if day else (26, 30, 52))
    pen = ImageDraw.Draw(image)
    left = 0
    while left < WIDTH:
        width = chance.randrange(50, 110)
        _house(pen, (left, chance.randrange(10, 90), left + width), chance, day=day)
        left += width
    pen.rectangle((0, _HORIZON, WIDTH, HEIGHT), fill=(142, 140, 136))
    pen.polygon(((230, _HORIZON), (410, _HORIZON), (WIDTH + 120, HEIGHT), (-120, HEIGHT)), fill=(74, 76, 80))
    for near, far in ((360, 310), (280, 240), (220, 195), (180, 165)):
        half = (near - _HORIZON) // 30 + 1
        pen.polygon(((320 - half, near), (320 + half, near), (320 + half // 2, far), (320 - half // 2, far)), "#d8d6c8")
    return image


def _house(pen: ImageDraw.ImageDraw, edges: tuple[int, int, int], chance: random.Random, *, day: bool) -> None:
    left, top, right = edges
    wall = chance.choice(((132, 98, 80), (156, 142, 120), (112, 108, 112), (168, 126, 96)))
    pen.rectangle((left, top, right, _HORIZON), fill=wall)
    for x in range(left + 8, right - 12, 18):
        for y in range(top + 10, _HORIZON - 18, 24):
            lit = not day and chance.random() < 0.4
            pen.rectangle((x, y, x + 9, y + 13), fill=(240, 214, 140) if lit else (62, 76, 92))


def _sign(pen: ImageDraw.ImageDraw, street: str) -> None:
    """The sign at the corner with the name of the street."""
    width = int(pen.textlength(street, _font(20))) + 20
    pen.rectangle((60, 78, 66, 250), fill=(96, 98, 100))
    pen.rectangle((30, 60, 30 + width, 90), fill=(0, 96, 60), outline=(236, 236, 236), width=2)
    pen.text((40, 75), street, "white", _font(20), anchor="lm")


def _vehicle(pen: ImageDraw.ImageDraw, shot: Shot, scale: float, middle: int) -> None:
    """The vehicle from behind, with the plate below the rear window."""
    wide, high = _SHAPES.get(shot.body, _SHAPES["sedan"])
    half, tall, ground = int(120 * wide * scale), int(130 * high * scale), int(_HORIZON + 60 + 125 * scale)
    paint, top = _PAINT.get(shot.color, _PAINT["gray"]), ground - tall - 18
    for side in (-1, 1):
        wheel = sorted((middle + side * half, middle + side * int(half * 0.72)))
        pen.rectangle((wheel[0], ground - 26, wheel[1], ground), fill=(18, 18, 20))
    pen.rounded_rectangle((middle - half * 3 // 4, top, middle + half * 3 // 4, ground - 40), 22, fill=paint)
    pen.rounded_rectangle((middle - half, top + tall * 2 // 5, middle + half, ground - 10), 16, fill=paint)
    pen.rounded_rectangle(
        (middle - half * 5 // 8, top + 10, middle + half * 5 // 8, top + tall * 2 // 5), 10, fill=(48, 60, 72)
    )
    for side in (-1, 1):
        lamp = sorted((middle + side * (half - 4), middle + side * int(half * 0.78)))
        pen.rectangle((lamp[0], top + tall * 2 // 5 + 12, lamp[1], top + tall * 2 // 5 + 32), fill=(196, 28, 24))
    _plate(pen, shot.plate, scale, (middle, ground - 42))


def _plate(pen: ImageDraw.ImageDraw, plate: str, scale: float, middle: tuple[int, int]) -> None:
    font, (x, y) = _font(int(30 * scale)), middle
    half = int(pen.textlength(plate, font) / 2 + 10 * scale)
    box = (x - half, y - int(19 * scale), x + half, y + int(19 * scale))
    pen.rounded_rectangle(box, 4, fill=(246, 244, 232), outline=(24, 40, 92), width=2)
    pen.text(middle, plate, (18, 24, 56), font, anchor="mm")


def _too_dark(image: Image.Image, chance: random.Random) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(chance.uniform(0.12, 0.2))


def _blurred(image: Image.Image, chance: random.Random) -> Image.Image:
    return image.filter(ImageFilter.BoxBlur((chance.randrange(5, 9), 1)))


def _from_far_away(image: Image.Image, chance: random.Random) -> Image.Image:
    return image.filter(ImageFilter.BoxBlur(chance.uniform(0.8, 1.4)))


def _in_the_rain(image: Image.Image, chance: random.Random) -> Image.Image:
    image = image.filter(ImageFilter.BoxBlur(1.5))
    pen = ImageDraw.Draw(image)
    for _ in range(420):
        x, y = chance.randrange(WIDTH), chance.randrange(HEIGHT)
        pen.line((x, y, x + 4, y + 22), fill=(198, 204, 212))
    return image


def _glaring(image: Image.Image, chance: random.Random) -> Image.Image:
    x, y = chance.randrange(240, 400), chance.randrange(260, 310)
    glare = Image.new("L", (WIDTH, HEIGHT), 0)
    ImageDraw.Draw(glare).ellipse((x - 150, y - 80, x + 150, y + 80), fill=235)
    return Image.composite(Image.new("RGB", image.size, "white"), image, glare.filter(ImageFilter.BoxBlur(40)))


_SPOILED: tuple[Callable[[Image.Image, random.Random], Image.Image], ...] = (
    _too_dark, _blurred, _in_the_rain, _glaring, _from_far_away,
)  # fmt: skip
