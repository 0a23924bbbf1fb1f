"""Build dist/citywatch-send.pyz, the sender in one file: the same bytes from the same sources. `make sender`."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from citywatch import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "citywatch" / "sender"
TARGET = ROOT / "dist" / "citywatch-send.pyz"
_SHEBANG = b"#!/usr/bin/env python3\n"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_MAIN = '''"""The sender of citywatch alone: citywatch-send.pyz FILE --to URL."""
import sys

if sys.version_info < (3, 8):
    sys.exit("citywatch-send needs Python 3.8 or newer, this is %d.%d" % sys.version_info[:2])

from citywatch_send.command import main

sys.exit(main(version={version!r}))
'''


def build(target: Path) -> None:
    """Write the archive: names sorted, without times, so that it can be compared with a published one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(_SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, text in sorted(_members()):
                member = zipfile.ZipInfo(name, _LONG_AGO)
                member.create_system = 3
                member.external_attr = 0o100644 << 16
                archive.writestr(member, text)
    target.chmod(0o755)


def _members() -> Iterator[tuple[str, str]]:
    yield "__main__.py", _MAIN.format(version=__version__)
    for file in set(PACKAGE.glob("*.py")) - {PACKAGE / "__main__.py"}:
        yield f"citywatch_send/{file.name}", file.read_text("utf-8")


if __name__ == "__main__":
    build(TARGET)
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}\n")
