"""Images: kept by their content, without anything that tells more than the picture, under ids that stay."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image

from citywatch.errors import MediaConflictError, MediaError, MediaTooLargeError, StoreError
from citywatch.stores.media import Kept, Media

from .pictures import DOT, SECRET, drawn, picture


def opened(kept: Kept) -> Image.Image:
    return Image.open(io.BytesIO(kept.read()))


@pytest.mark.parametrize(
    ("kind", "type_", "ending"),
    [("JPEG", "image/jpeg", ".jpg"), ("PNG", "image/png", ".png"), ("WEBP", "image/webp", ".webp")],
)
def test_an_image_loses_all_that_is_not_the_picture(tmp_path: Path, kind: str, type_: str, ending: str) -> None:
    sent = picture(kind)
    assert SECRET.encode() in sent
    kept = Media(tmp_path).keep(sent)
    assert (kept.type, kept.width, kept.height, kept.path.suffix) == (type_, 64, 48, ending)
    assert SECRET.encode() not in kept.read()
    assert not opened(kept).getexif()
    assert "comment" not in opened(kept).info


def test_what_stands_behind_a_picture_is_not_kept(tmp_path: Path) -> None:
    kept = Media(tmp_path).keep(picture() + b"<script>alert(1)</script>")
    assert b"script" not in kept.read()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_stands_upright_without_its_exif(tmp_path: Path, kind: str) -> None:
    image = opened(Media(tmp_path).keep(picture(kind, orientation=6)))
    assert image.size == (48, 64)
    corner, other = image.getpixel((44, 3)), image.getpixel((3, 3))  # turned clockwise, the corner is to the right
    assert isinstance(corner, tuple)
    assert isinstance(other, tuple)
    assert corner[0] > 230
    assert other[0] < 150


def test_an_upright_jpeg_changes_by_no_more_than_its_own_packing(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.effect_noise((64, 64), 40).save(out, "JPEG", quality=70)
    before = Image.open(io.BytesIO(out.getvalue()))
    after = opened(Media(tmp_path).keep(out.getvalue()))
    assert max(abs(a - b) for a, b in zip(before.tobytes(), after.tobytes(), strict=True)) <= 4


def test_a_file_is_named_by_what_it_holds(tmp_path: Path) -> None:
    kept = Media(tmp_path).keep(picture())
    name = hashlib.sha256(kept.read()).hexdigest()
    assert kept.path == tmp_path / name[:2] / f"{name}.jpg"
    assert kept.received == hashlib.sha256(picture()).hexdigest()
    assert kept.size == len(kept.read())


def test_two_that_differ_in_their_metadata_alone_share_a_file(tmp_path: Path) -> None:
    media = Media(tmp_path)
    one, other = media.keep(picture()), media.keep(picture(note="somebody else"))
    assert one.received != other.received
    assert one.path == other.path


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    media = Media(tmp_path)
    first = media.keep(picture())
    since = media.name("i1", first, now=5)
    written = first.path.stat().st_mtime_ns
    assert Media(tmp_path).keep(picture()) == first
    assert Media(tmp_path).name("i1", first, now=9) == since == 5
    assert first.path.stat().st_mtime_ns == written
    assert media.totals() == (1, first.size)


def test_an_id_means_one_image_for_good(tmp_path: Path) -> None:
    media = Media(tmp_path)
    first, other = media.keep(picture()), media.keep(picture(shade=10))
    media.name("i1", first)
    with pytest.raises(MediaConflictError, match="i1 is here already, with other content"):
        media.name("i1", other)
    assert media.find("i1") == first
    assert media.find(other.received) == other


@pytest.mark.parametrize("image_id", ["", "x" * 257])
def test_an_id_has_some_characters_and_not_too_many(tmp_path: Path, image_id: str) -> None:
    media = Media(tmp_path)
    with pytest.raises(MediaError, match="1 to 256 characters"):
        media.name(image_id, media.keep(DOT))


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + bytes(20), DOT[:20]],
    ids=["nothing", "words", "svg", "gif", "half a header"],
)
def test_what_is_no_jpeg_png_or_webp_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MediaError):
        Media(tmp_path).keep(content)
    assert Media(tmp_path).totals() == (0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_was_cut_off_is_refused(tmp_path: Path, kind: str) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(whole, kind)
    with pytest.raises(MediaError):
        Media(tmp_path).keep(whole.getvalue()[: len(whole.getvalue()) // 2])


def test_a_small_file_that_unpacks_to_a_huge_picture_is_refused_unpacked(tmp_path: Path) -> None:
    def part(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = part(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")
    with pytest.raises(MediaError, match=r"30000 x 30000|no JPEG"):
        Media(tmp_path).keep(bomb)


def test_an_image_that_is_too_large_says_how_large_it_may_be(tmp_path: Path) -> None:
    with pytest.raises(MediaTooLargeError, match=r"at most 100 are kept.*image_bytes"):
        Media(tmp_path, limit=100).keep(picture())


def test_what_moves_is_no_picture_of_one_moment(tmp_path: Path) -> None:
    out = io.BytesIO()
    drawn().save(out, "PNG", save_all=True, append_images=[drawn(shade=1)])
    with pytest.raises(MediaError, match="moves"):
        Media(tmp_path).keep(out.getvalue())


def test_ids_are_found_by_the_thousand(tmp_path: Path) -> None:
    media = Media(tmp_path)
    assert media.known(["i1"]) == set()
    kept = media.keep(DOT)
    media.name("i1", kept)
    assert media.known([*(f"x{n}" for n in range(1200)), "i1", kept.received]) == {"i1", kept.received}


def test_the_engine_is_told_once(tmp_path: Path) -> None:
    media = Media(tmp_path)
    media.name("i1", media.keep(DOT))
    assert not media.told("i1")
    media.set_told("i1")
    assert Media(tmp_path).told("i1")


def test_a_file_that_is_gone_says_where_it_was(tmp_path: Path) -> None:
    kept = Media(tmp_path).keep(DOT)
    kept.path.unlink()
    with pytest.raises(StoreError, match=r"\.png cannot be read"):
        kept.read()


def test_many_may_bring_images_at_the_same_time(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def bring(first: int) -> None:
        try:
            with Media(tmp_path) as media:
                for n in range(first, first + 8):
                    media.name(f"i{n % 10}", media.keep(picture(shade=n % 10)))
        except BaseException as error:
            failed.append(error)

    Media(tmp_path).keep(DOT)
    threads = [threading.Thread(target=bring, args=[start]) for start in (0, 4, 8, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert Media(tmp_path).totals()[0] == 11


def test_an_image_that_a_crash_left_half_written_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise OSError(5, "the power is gone")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", crash)
        with pytest.raises(StoreError, match="the power is gone"):
            Media(tmp_path).keep(picture())
    assert Media(tmp_path).totals() == (0, 0)
    assert Media(tmp_path).keep(picture()).read()
