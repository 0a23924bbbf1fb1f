"""Sensors on the streets: temperature, sound level, what is heard, and how many people stand there."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from citywatch.sources.simulator import geography
from citywatch.sources.simulator.draws import Integers
from citywatch.sources.simulator.local import bustle
from citywatch.sources.simulator.stream import Drawn, Steady
from citywatch.sources.simulator.text import Piece, Text, decimal, event, join, look_up, table, whole

KINDS = ("temperature", "sound", "acoustic", "crowd")
_HEARD = ("traffic", "music", "dog", "siren", "shout", "glass")
_HEARD_WEIGHTS = (60.0, 14.0, 10.0, 9.0, 5.0, 2.0)
_STEP = 787


class SensorReadings(Steady):
    """`sensor.reading`: the four kinds of sensors in turn."""

    name = "sensors"
    share = 0.20
    period = 20
    kinds: ClassVar[tuple[str, ...]] = KINDS

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        sensor = numbers % self.devices
        kind = sensor % len(KINDS)
        name = join([look_up(table([f"{k}-" for k in KINDS]), kind), whole(sensor)])
        place = look_up(geography.position_json(), geography.spread(sensor, _STEP).astype(np.int64))
        measured = look_up(table([self._kind_json(k) for k in KINDS]), kind)
        data = [
            measured, *self._value_json(numbers, times, kind), ',"device_id":"', name, '","device_kind":"sensor",',
            place,
        ]  # fmt: skip
        bodies = event(
            "sensor.reading",
            id_=self.ids(numbers),
            source=join(["sensor/", name]),
            subject=name,
            times=times,
            data=data,
        )
        return Drawn(numbers, times, bodies)

    @staticmethod
    def _kind_json(kind: str) -> str:
        unit = {"temperature": "C", "sound": "dB(A)", "acoustic": "dB(A)", "crowd": "persons"}[kind]
        return f'"sensor_kind":"{kind}","unit":"{unit}",'

    def _value_json(self, numbers: Integers, times: Integers, kind: Integers) -> list[Piece]:
        noise = self.draws.unit(numbers, "value")
        day = bustle(times)
        values = np.choose(
            kind, [12 + 9 * day + noise, 48 + 14 * day + 12 * noise, 50 + 30 * noise, np.floor(110 * day * noise)]
        )
        return ['"value":', *decimal(np.rint(values * 10).astype(np.int64), 1), self._heard_json(numbers, kind)]

    def _heard_json(self, numbers: Integers, kind: Integers) -> Text:
        """Only acoustic sensors say what they heard."""
        heard = self.draws.chosen(numbers, _HEARD_WEIGHTS, "label")
        sureness = self.draws.below(numbers, 40, "confidence")
        texts = [f',"label":"{label}","confidence":0.{60 + sure}' for label in _HEARD for sure in range(40)]
        return look_up(
            table([*texts, ""]), np.where(kind == KINDS.index("acoustic"), heard * 40 + sureness, len(texts))
        )
