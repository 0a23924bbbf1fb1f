"""What a desk on a server has to hold beside what one in a file does: writers at once, a server that goes away."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import psycopg
import pytest

from citywatch.connections.postgresql import Address, database_address
from citywatch.errors import StoreError
from citywatch.stores.desk.server import Server
from tests.cluster.gate import Gate
from tests.cluster.servers import postgresql
from tests.unit.desk.facts import NOW, alert_id, fact, table

pytestmark = pytest.mark.cluster

WRITERS, ROUNDS = 4, 25


def test_a_reader_who_keeps_the_highest_number_misses_nothing_of_writers_at_the_same_time(address: Address) -> None:
    with ExitStack() as stack:
        server = Server(address, most=WRITERS + 1)
        stack.callback(server.close)

        def write(writer: int) -> None:
            for number in range(ROUNDS):
                with server.desk() as desk:
                    desk.put_facts(table([fact(writer * ROUNDS + number)]), now=NOW)

        threads = [threading.Thread(target=write, args=[writer]) for writer in range(WRITERS)]
        for thread in threads:
            thread.start()
        cursor, seen, running = 0, [], True
        with server.desk() as desk:
            while running:
                running = any(thread.is_alive() for thread in threads)
                for listed in desk.changes_since(cursor):
                    cursor = listed.change
                    seen.append(listed.alert["id"])
    assert sorted(seen) == sorted(alert_id(name) for name in range(WRITERS * ROUNDS))


def test_a_writer_who_is_not_done_is_waited_for_and_never_overtaken(address: Address) -> None:
    with ExitStack() as stack:
        server = Server(address, most=3)
        stack.callback(server.close)
        first, second, reader = (stack.enter_context(server.desk()) for _ in range(3))
        other = threading.Thread(target=lambda: second.put_facts(table([fact(2)]), now=NOW))
        with first.transaction() as con:
            con.execute("INSERT INTO cursors VALUES ('held', 1)")
            other.start()
            other.join(0.5)
            assert other.is_alive()
            assert reader.last_change() == 0
        other.join(30)
        assert [listed.alert["id"] for listed in reader.changes_since(0)] == [alert_id(2)]


def test_text_with_nul_is_kept_with_a_mark_in_its_place(address: Address) -> None:
    with ExitStack() as stack:
        server = Server(address, most=1)
        stack.callback(server.close)
        desk = stack.enter_context(server.desk())
        desk.put_facts(table([fact(1, reason="a\0b", address="x\0")]), now=NOW)
        assert desk.alert(alert_id(1)).alert["reason"] == "a\ufffdb"


def test_while_the_server_is_away_it_says_so_and_afterwards_it_goes_on(address: Address) -> None:
    with ExitStack() as stack:
        gate = stack.enter_context(Gate(postgresql()))
        url = f"postgresql://postgres@{gate.address}/postgres?schema={address.schema}"
        server = Server(database_address(url), most=2)
        stack.callback(server.close)
        with server.desk() as desk:
            desk.put_facts(table([fact(1)]), now=NOW)
        gate.shut()
        server.pool.timeout = 1.0  # so long it waits for a server that is away
        with pytest.raises(StoreError), server.desk() as desk:
            desk.last_change()
        gate.reopen()
        server.pool.timeout = 60.0  # and so long for one that is back
        with server.desk() as desk:
            desk.put_facts(table([fact(2)]), now=NOW)
            assert [listed.alert["id"] for listed in desk.changes_since(0)] == [alert_id(1), alert_id(2)]


def test_tables_of_another_version_are_refused(address: Address) -> None:
    Server(address, most=1).close()
    with psycopg.connect(address.conninfo(), autocommit=True) as con:
        con.execute("UPDATE version SET number = 99")
    with pytest.raises(StoreError, match="version 99"):
        Server(address, most=1)
