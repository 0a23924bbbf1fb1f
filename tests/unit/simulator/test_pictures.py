"""The pictures of violations."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageStat

from citywatch.sources.simulator.city import batches
from citywatch.sources.simulator.draws import Draws
from citywatch.sources.simulator.pictures import HEIGHT, WIDTH, Shot, draw, hard, picture

from .host import plan

SHOT = Shot("S12ABCD", "Cherry Avenue", "red", "sedan", day=True, hard=False, seed=5)


def image(shot: Shot) -> Image.Image:
    return Image.open(io.BytesIO(draw(shot)))


def difference(first: Shot, second: Shot) -> tuple[int, int, int, int]:
    """The rectangle in which two pictures are clearly different."""
    changed = ImageChops.difference(image(first), image(second)).convert("L").point(lambda value: 255 * (value > 60))
    box = changed.getbbox()
    assert box is not None
    return box


def test_a_picture_is_a_jpeg_of_640_by_360() -> None:
    with image(SHOT) as shown:
        assert (shown.format, shown.size, shown.mode) == ("JPEG", (WIDTH, HEIGHT), "RGB")
        assert (WIDTH, HEIGHT) >= (640, 360)


def test_the_same_shot_is_the_same_picture_to_the_byte() -> None:
    assert draw(SHOT) == draw(replace(SHOT))


def test_the_plate_is_on_it_large_enough_to_be_read() -> None:
    left, top, right, bottom = difference(SHOT, replace(SHOT, plate="XXXXXXX"))
    assert right - left > 80
    assert bottom - top > 15
    assert top > HEIGHT / 2


def test_the_name_of_the_street_is_on_its_sign() -> None:
    left, top, right, bottom = difference(SHOT, replace(SHOT, street="Willow Avenue"))
    assert right < WIDTH / 2
    assert bottom < HEIGHT / 3
    assert right - left > 60
    assert bottom - top > 8


@pytest.mark.parametrize(("color", "band"), [("red", 0), ("green", 1), ("blue", 2)])
def test_the_vehicle_has_its_colour(color: str, band: int) -> None:
    box = difference(replace(SHOT, color=color), replace(SHOT, color="white"))
    means = ImageStat.Stat(image(replace(SHOT, color=color)).crop(box)).mean
    assert means.index(max(means)) == band


def test_it_is_dark_at_night() -> None:
    by_day, by_night = (ImageStat.Stat(image(replace(SHOT, day=day)).convert("L")).mean[0] for day in (True, False))
    assert by_night < 0.6 * by_day


def contrast(shot: Shot) -> float:
    """How clearly the plate stands out against another one: mean difference over the rectangle of the plate."""
    clear = replace(shot, hard=False)
    box = difference(clear, replace(clear, plate="XXXXXXX"))
    two = ImageChops.difference(image(shot), image(replace(shot, plate="XXXXXXX"))).convert("L").crop(box)
    return float(ImageStat.Stat(two).mean[0])


def test_what_is_hard_to_read_is_harder_to_read() -> None:
    shots = [replace(SHOT, seed=seed) for seed in range(20)]
    clear, spoiled = ([contrast(replace(shot, hard=value)) for shot in shots] for value in (False, True))
    assert np.mean(spoiled) < 0.6 * np.mean(clear)


def test_one_in_ten_is_hard_to_read() -> None:
    assert np.mean(hard(Draws(1, "violations"), np.arange(50_000))) == pytest.approx(0.1, rel=0.05)


def violations(**more: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The data of violations and of images in a minute of many."""
    found: dict[str, list[dict[str, Any]]] = {"drone.violation": [], "violation.image": []}
    for batch in batches(plan("drones", seconds=60, rate=60, **more)):
        for line in map(str, batch.lines.to_pylist()):
            if '"type":"drone.violation"' in line or '"type":"violation.image"' in line:
                try:
                    event = json.loads(line)
                    found[event["type"]].append(event["data"])
                except (ValueError, KeyError):
                    continue
    return found["drone.violation"], found["violation.image"]


def test_the_id_of_an_image_is_the_hash_of_its_bytes_and_stands_in_the_violation() -> None:
    seen, images = violations(images=1000)
    assert len(images) > 60
    ids = {data["image_id"] for data in seen}
    for data in images:
        content = base64.b64decode(data["image"])
        assert hashlib.sha256(content).hexdigest() == data["image_id"]
        with Image.open(io.BytesIO(content)) as shown:
            shown.load()
    assert sum(data["image_id"] in ids for data in images) > 0.9 * len(images)


def test_the_picture_of_a_violation_shows_its_plate() -> None:
    assert picture(SHOT).image_id != picture(replace(SHOT, plate="OTHER12")).image_id
    seen, images = violations(images=1000)
    assert len({data["image_id"] for data in images}) >= len({data["plate"] for data in seen}) * 0.9


def test_only_so_many_a_second_have_a_picture() -> None:
    _, none = violations(images=0)
    assert none
    assert not any("image" in data for data in none)
    _, some = violations(images=0.5)
    planned = 12
    assert sum("image" in data for data in some) <= 0.5 * 60 * 1.5 + planned


def test_pictures_are_at_most_so_large_that_a_message_stays_small() -> None:
    assert max(len(picture(replace(SHOT, seed=seed, hard=seed % 2 == 0)).text) for seed in range(20)) < 100_000
