"""Images that come by themselves and are looked at: what the console needs of the stores."""

from __future__ import annotations

import json
from collections.abc import Sequence

from citywatch.errors import UnknownImageError
from citywatch.stores.desk import Desk
from citywatch.stores.directory import DataDirectory
from citywatch.stores.media import MOST_BYTES, Kept, Media
from citywatch.wording import iso

SOURCE = "citywatch/media"
"""The `source` of the events that say that an image has come."""

TYPE = "violation.image"


class Gallery:
    """The images of one data directory; of use to any thread, each call opens what it needs.

    Parameters
    ----------
    limit
        Bytes that an image may have.
    """

    def __init__(self, data: DataDirectory, *, limit: int = MOST_BYTES) -> None:
        self._data = data
        self.limit = limit

    def receive(self, image_id: str, content: bytes) -> Kept:
        """Keep an image under an id, and let the engine know; both survive a power cut when this returns.

        The same image again changes nothing. Raises MediaError, MediaConflictError, DiskFullError, StoreError.
        """
        self._data.require_space(2 * len(content))
        with Media(self._data.media, limit=self.limit) as media:
            kept = media.keep(content)
            since = media.name(image_id, kept)
            if not media.told(image_id):
                with Desk(self._data.desk) as desk:
                    desk.put_inbox([_event(image_id, kept, since)])
                media.set_told(image_id)
        return kept

    def find(self, image_id: str) -> Kept:
        """The image that an id means. Raises UnknownImageError."""
        with Media(self._data.media) as media:
            kept = media.find(image_id)
        if kept is None:
            raise UnknownImageError(f"there is no image {image_id}", hint="it may still come")
        return kept

    def known(self, image_ids: Sequence[str]) -> set[str]:
        """Those of the ids that mean an image."""
        with Media(self._data.media) as media:
            return media.known(image_ids)

    def totals(self) -> tuple[int, int]:
        """(images, their bytes)."""
        with Media(self._data.media) as media:
            return media.totals()


def _event(image_id: str, kept: Kept, since: int) -> str:
    """The event that an image has come; the same one however often it is made, so that the engine takes it once."""
    data = {"image_id": image_id, "media_type": kept.type, "width": kept.width, "height": kept.height}
    head = {"specversion": "1.0", "id": image_id, "source": SOURCE, "type": TYPE, "subject": image_id}
    return json.dumps({**head, "time": iso(since), "data": data}, ensure_ascii=False)
