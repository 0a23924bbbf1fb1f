"""`device.status`: the sign of life of cameras, plate readers and drones, once a minute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from citywatch.settings import SECOND
from citywatch.sources.simulator import cctv, drones, geography
from citywatch.sources.simulator.draws import Integers
from citywatch.sources.simulator.stream import Drawn, Steady
from citywatch.sources.simulator.text import Piece, decimal, event, join, look_up, table


@dataclass(frozen=True, slots=True)
class Fleet:
    """How many devices of each kind report their status."""

    cameras: int
    readers: int
    drones: int


class DeviceStatus(Steady):
    """A status of each device in turn; the first after a change of battery says so."""

    name = "status"
    share = 0.05
    period = 60
    can_be_late = False

    def __init__(self, seed: int, rate: float, fleet: Fleet) -> None:
        super().__init__(seed, rate)
        self.fleet = fleet
        cameras, readers, flying = np.arange(fleet.cameras), np.arange(fleet.readers), np.arange(fleet.drones)
        self._names = table(
            [f"cctv-{n:04d}" for n in cameras] + [f"anpr-{n:04d}" for n in readers] + [str(n) for n in flying]
        )
        self._sources = table(
            [f"camera/cctv-{n:04d}" for n in cameras]
            + [f"camera/anpr-{n:04d}" for n in readers]
            + [f"drone/{n}" for n in flying]
        )
        homes = [*cctv.camera_place(cameras), *(geography.anpr_place(int(n)) for n in readers), *drones.home(flying)]
        self._places = look_up(geography.position_json(), np.array(homes, np.int64))

    @property
    def devices(self) -> int:
        """As many as report often enough never to seem silent at this rate."""
        return max(1, min(len(self._names), int(self.rate * 80)))

    def _draw(self, numbers: Integers, times: Integers) -> Drawn:
        device = numbers % self.devices
        name = look_up(self._names, device)
        temperature = 150 + self.draws.below(numbers, 300, "temperature")
        data = [
            *self._state_json(device, times), '"temperature":', *decimal(temperature, 1), ',"device_id":"', name,
            '","device_kind":"', look_up(table(["camera", "drone"]), self._flies(device)), '",',
            look_up(self._places, device),
        ]  # fmt: skip
        bodies = event(
            "device.status",
            id_=self.ids(numbers, "s"),
            source=look_up(self._sources, device),
            subject=name,
            times=times,
            data=data,
        )
        return Drawn(numbers, times, bodies)

    def _flies(self, device: Integers) -> Integers:
        return (device >= self.fleet.cameras + self.fleet.readers).astype(np.int64)

    def _state_json(self, device: Integers, times: Integers) -> list[Piece]:
        """A label, and for drones the charge."""
        flies = self._flies(device)
        drone = device - (self.fleet.cameras + self.fleet.readers)
        since = times - int(self.devices / self.rate * SECOND)
        used = np.floor(drones.batteries_used(drone, times)) > np.floor(drones.batteries_used(drone, since))
        label = look_up(table(['"label":"ok",', '"label":"battery_changed",']), flies * used)
        tenths = np.rint(drones.charge(drone, times) * 10).astype(np.int64)
        battery = join(['"battery":', *decimal(tenths, 1), ","])
        return [label, pc.if_else(pa.array(flies.astype(bool)), battery, "")]
