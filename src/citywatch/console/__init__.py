"""The page: see alerts as they come, understand one, act on it. Django on ASGI; knows the desk by `port.DeskPort`."""
