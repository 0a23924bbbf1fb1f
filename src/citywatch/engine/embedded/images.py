"""Images on their way in: those inside messages are put aside, and violations learn whether theirs is here already."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.engine.embedded.bounded import Parse
from citywatch.errors import MediaConflictError, MediaError
from citywatch.records.chunk import Chunk, Parsed
from citywatch.records.columns import Array, Mask, listed, one_array
from citywatch.records.inline import IMAGE, split
from citywatch.stores.media import Media

KNOWN = "image_known"
"""Member of the data of an event whose image was here before it: it is not waited for."""

_HASH = re.compile(r'"([0-9a-f]{64})"')


def with_images(parse: Parse, media: Media, room: Callable[[int], None]) -> Parse:
    """A parser that keeps the images it meets before anybody is told that their message is accepted.

    In a message the SHA-256 of an image takes the image's place; what is no image that can be kept stays there. Of use
    to one thread, as the parser is. `room` raises DiskFullError unless so many bytes can be kept: then the parser does.
    """

    def parsed(chunk: Chunk) -> Parsed:
        chunk, inside = split(chunk, lambda content: _kept(media, content, room))
        found = parse(chunk)
        events = _named(found.events, inside, media) if inside else found.events
        events = _marked(events, media)
        return found if events is found.events else replace(found, events=events)

    return parsed


def _kept(media: Media, content: bytes, room: Callable[[int], None]) -> str | None:
    room(2 * len(content))  # else the message would be refused, and its image be in the reserve
    try:
        return media.keep(content).received
    except MediaError:
        return None  # what it is stays to be seen in the message itself


def _named(events: pa.Table, inside: frozenset[str], media: Media) -> pa.Table:
    """Events with the id of the image that their message held, where they name none; else that name for the image."""
    ids, texts = listed(events["image_id"]), listed(events["data"])
    for row, text in enumerate(texts):
        held = next((found for found in _HASH.findall(text or "") if found in inside), None)
        if held is None or ids[row] == held:
            continue
        if ids[row] is None:
            ids[row] = held
            texts[row] = _with("image_id", held, text)
        else:
            _name(media, ids[row], held)
    return _set(_set(events, "image_id", pa.array(ids, pa.string())), "data", pa.array(texts, pa.string()))


def _name(media: Media, image_id: str, held: str) -> None:
    kept = media.find(held)
    if kept is None:
        return
    try:
        media.name(image_id, kept)
    except MediaConflictError:
        return  # the id means another image; this one is found by the hash that stands in the message


def _marked(events: pa.Table, media: Media) -> pa.Table:
    """Events that name an image which is here already, with KNOWN in their data."""
    column: Any = one_array(events["image_id"])
    if column.null_count == len(column) or not media.begun():
        return events
    known = media.known([text for text in pc.unique(column).to_pylist() if text is not None])
    if not known:
        return events
    here = pc.is_in(events["image_id"], pa.array(sorted(known), pa.string()))
    mask: Mask = np.asarray(pc.and_(here, pc.not_equal(events["type"], pa.scalar(IMAGE))))
    rows = np.flatnonzero(mask)
    if not len(rows):
        return events
    data: Any = one_array(events["data"])
    marked = [_with(KNOWN, True, text) for text in data.take(pa.array(rows)).to_pylist()]
    return _set(events, "data", pc.replace_with_mask(data, pa.array(mask), pa.array(marked, pa.string())))


def _with(name: str, value: Any, data: str | None) -> str:
    """Data with one member more, the first. Data that are no object (a text, a list) have no members, and stay."""
    text = (data or "{}").lstrip()
    if not text.startswith("{"):
        return text
    rest = text[1:].lstrip()
    return f"{{{json.dumps(name)}:{json.dumps(value)}{'' if rest.startswith('}') else ','}{rest}"


def _set(events: pa.Table, name: str, values: Array) -> pa.Table:
    at = events.schema.get_field_index(name)
    return events.set_column(at, events.schema.field(at), values)
