"""`citywatch users` and `citywatch console`, as an administrator types them, beside a console that runs."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

from .conftest import Running
from .test_up import RULE

CITYWATCH = str(Path(sys.executable).with_name("citywatch"))


def users(console: Running, *words: str, code: int = 0) -> tuple[str, str]:
    command = [CITYWATCH, "users", *words, "--data", str(console.desk.parent)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def ask(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    """Status, body and cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    given = [value.split(";")[0] for name, value in response.getheaders() if name.lower() == "set-cookie"]
    body = response.read().decode()
    connection.close()
    return response.status, body, "; ".join(given)


def test_a_person_is_added_signs_in_by_a_fresh_link_and_is_removed(console: Running) -> None:
    link, said = users(console, "add", "carla", "--right", "auditor", "--right", "reveal")
    assert "see who looked up what" in said
    assert link.startswith(f"{console.base}/sign-in/")
    again, _ = users(console, "link", "carla")
    assert again != link
    status, _, cookie = ask(console.port, again.removeprefix(console.base))
    assert status == 302
    assert ask(console.port, "/audit", Cookie=cookie)[0] == 200
    assert "auditor, reveal" in users(console, "list")[0]
    users(console, "remove", "carla")
    assert ask(console.port, "/audit", Cookie=cookie)[0] == 302
    assert "carla" not in users(console, "list")[0]
    refused = users(console, "link", "carla", code=2)[1]
    assert "there is no person 'carla'" in refused
    assert "`citywatch users add NAME` lets somebody in" in refused


def test_a_key_is_shown_once_works_at_once_and_ends_at_once(console: Running) -> None:
    secret, _ = users(console, "keys", "add", "map", "--scope", "alerts:read", "--expires", "90d")
    bearer = {"Authorization": f"Bearer {secret}"}
    assert ask(console.port, "/api/v1/alerts", **bearer)[0] == 200
    listed = json.loads(users(console, "keys", "list", "--format", "ndjson")[0])
    assert (listed["name"], listed["scopes"], listed["valid"]) == ("map", ["alerts:read"], True)
    assert listed["used_at"]
    assert secret not in json.dumps(listed)
    assert "valid until" in users(console, "keys", "list")[0]
    assert "there is, or was, a key 'map'" in users(console, "keys", "add", "map", "--scope", "reveal", code=2)[1]
    users(console, "keys", "revoke", "map")
    assert ask(console.port, "/api/v1/alerts", **bearer)[0] == 401
    assert "there is no key 'nap'" in users(console, "keys", "revoke", "nap", code=2)[1]


def test_wrong_words_are_refused_with_what_to_do(console: Running, tmp_path: Path) -> None:
    assert "without colons" in users(console, "add", "key:map", code=2)[1]
    assert "90d" in users(console, "keys", "add", "x", "--scope", "reveal", "--expires", "soon", code=2)[1]
    command = [CITYWATCH, "users", "list", "--data", str(tmp_path / "nowhere")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is no data directory" in done.stderr


def test_the_console_alone_serves_what_a_run_has_left(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "any_reading.yaml").write_text(RULE)
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "sensor.reading", "data": {"value": 1}}
    (tmp_path / "one.ndjson").write_text(json.dumps(event))
    data = str(tmp_path / "data")
    refused = subprocess.run([CITYWATCH, "console", "--from", data], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "holds no citywatch data" in refused.stderr
    run = [CITYWATCH, "run", "one.ndjson", "--once", "--data", data, "--rules", "rules"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    command = [CITYWATCH, "console", "--from", data, "--port", "0", "--rules", "rules"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/sign-in/\S+)", process.stderr.readline())
        assert found is not None
        port = int(found[1])
        _, _, cookie = ask(port, found[2])
        (alert,) = json.loads(ask(port, "/api/v1/alerts", Cookie=cookie)[1])["alerts"]
        assert alert["state"] == "open"
        assert ask(port, f"/alerts/{alert['id']}", Cookie=cookie)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
