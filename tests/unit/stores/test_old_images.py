"""Images that are older than they are kept: all but those that somebody needs."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from citywatch.settings import DAY
from citywatch.stores.media import Media
from citywatch.stores.old_images import OldImages

NOW = 1_777_636_800_000_000


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, shade, shade)).save(out, "PNG")
    return out.getvalue()


def test_old_images_go_unless_they_are_needed(tmp_path: Path) -> None:
    with Media(tmp_path / "media") as media:
        for shade, name, age in ((1, "old", 40), (2, "needed", 40), (3, "new", 1)):
            media.name(name, media.keep(picture(shade)), now=NOW - age * DAY)
        inside = media.keep(picture(4))  # came inside of a message
        os.utime(inside.path, (NOW / 1e6 - 40 * 86_400,) * 2)
        old = OldImages(tmp_path / "media", NOW - 30 * DAY, {"needed"})
        assert old.count() == 2
        assert old.remove() == 2
        assert media.known(["old", "needed", "new", inside.received]) == {"needed", "new"}
        assert media.totals()[0] == len(list((tmp_path / "media").glob("*/*.png"))) == 2
        assert old.count() == 0
        media.name("old", media.keep(picture(1)), now=NOW)
        assert media.find("old") is not None, "sent again it is there again"


def test_an_image_needed_by_its_content_stays(tmp_path: Path) -> None:
    with Media(tmp_path / "media") as media:
        kept = media.keep(picture(1))
        os.utime(kept.path, (0, 0))
        assert OldImages(tmp_path / "media", NOW, {kept.received}).remove() == 0
        assert kept.path.exists()


def test_there_may_be_no_images_at_all(tmp_path: Path) -> None:
    assert OldImages(tmp_path / "media", NOW, set()).remove() == 0
