"""Messages of an MQTT 5 broker: acknowledged when they are safe, and only then."""

from citywatch.sources.mqtt.source import open_mqtt

__all__ = ["open_mqtt"]
