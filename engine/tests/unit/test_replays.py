"""The memory of used proofs, in a file and in Redis: none is used twice, whatever fails."""

import gc
import multiprocessing
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from resource_server.tokens import dpop, replays
from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.redis_replays import RedisReplayCache
from resource_server.tokens.replays import LIFETIME, ReplayCache, SQLiteReplayCache
from resource_server.tokens.sqlite import connect
from tests.remembering import Clock, refused, until, used
from tests.serving import wait_until

Store = Callable[..., ReplayCache]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "proofs.sqlite3"


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    """Makes stores that share one memory."""
    if request.param == "file":
        path: Path = request.getfixturevalue("file")
        return lambda **options: SQLiteReplayCache(path, **options)
    url: str = request.getfixturevalue("redis").url
    return lambda **options: RedisReplayCache(url, **options)


def test_proof_is_remembered_as_long_as_it_is_accepted() -> None:
    assert LIFETIME == dpop.PAST + dpop.CLOCKS + dpop.FUTURE


def test_proof_is_used_once(store: Store) -> None:
    first, second = store(), store()
    ends = until()
    assert [each.use(proof, ends) for proof in (b"1", b"2") for each in (first, second, first)] == [
        True,
        False,
        False,
    ] * 2


@pytest.mark.parametrize("proof_id", [b"", b"\0", b"\xff" * 32, b"%s';--", b"x" * 10_000])
def test_proof_may_be_known_by_any_bytes(store: Store, proof_id: bytes) -> None:
    memory, ends = store(), until()
    assert (memory.use(proof_id, ends), memory.use(proof_id, ends)) == (True, False)


def test_proof_of_a_client_whose_clock_is_off_is_used_once(store: Store) -> None:
    memory = store()
    for made in (-300.0, 30.0):
        ends = until(made)
        assert (memory.use(b"%d" % made, ends), memory.use(b"%d" % made, ends)) == (True, False)


def test_of_many_threads_one_uses_a_proof(store: Store) -> None:
    memory, ends = store(), until()

    def use(number: int) -> bool:
        for _ in range(20):  # as clients do: a busy disk takes longer than a request waits
            with suppress(ReplaysUnavailable):
                return memory.use(b"%d" % (number // 8), ends)
        raise AssertionError("it can't be used at all")

    with ThreadPoolExecutor(8) as threads:
        used = list(threads.map(use, range(400)))
    assert used.count(True) == 50


def test_of_many_processes_one_uses_a_proof(store: Store) -> None:
    """Forks of one that has used it already, which is what a connection mustn't survive."""
    memory, ends = store(), until()
    assert memory.use(b"before", ends)
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()

    def use_all() -> None:
        results.put([memory.use(proof, ends) for proof in (b"before", *(b"%d" % number for number in range(50)))])

    processes = [fork.Process(target=use_all) for _ in range(4)]
    for process in processes:
        process.start()
    used = [results.get() for _ in processes]
    for process in processes:
        process.join(10)
    assert [sum(each) for each in zip(*used, strict=True)] == [0] + [1] * 50
    assert not memory.use(b"before", ends)
    assert not memory.use(b"1", ends)


def test_process_that_starts_later_knows_what_was_used(store: Store) -> None:
    ends = until()
    store().use(b"1", ends)
    assert not store().use(b"1", ends)


def test_clock_that_goes_back_makes_nothing_usable_again(store: Store) -> None:
    clock = Clock()
    memory, ends = store(clock=clock), until()
    assert memory.use(b"1", ends)
    for offset in (1_000, -1_000, 100_000, 0):
        clock.offset = offset
        refused(memory, b"%d" % offset, made=offset)
    assert not used(memory, b"1", ends)


def test_what_is_over_is_forgotten_in_small_parts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "_SWEPT_AT_ONCE", 10)
    clock = Clock()
    memory = SQLiteReplayCache(file, clock)
    for number in range(25):
        memory.use(b"%d" % number, until())
    clock.offset = LIFETIME + 1
    left = []
    for number in range(4):
        assert memory.use(b"later %d" % number, until(clock.offset))
        left.append(count(file))
    assert left == [16, 7, 3, 4]
    assert memory.use(b"0", until(clock.offset))


def count(file: Path) -> int:
    connection = sqlite3.connect(file.resolve())
    (found,) = connection.execute("SELECT count(*) FROM proofs").fetchone()
    connection.close()
    return int(found)


def test_memory_that_is_dropped_closes_its_file_without_a_warning(file: Path) -> None:
    """Warnings are errors here, and Python 3.13 and later warn of a connection that is left open."""
    memory = SQLiteReplayCache(file)
    assert memory.use(b"1", until())
    del memory
    gc.collect()


def test_flood_forgets_nothing(file: Path) -> None:
    memory, ends = SQLiteReplayCache(file), until()
    assert memory.use(b"first", ends)
    for number in range(5_000):
        memory.use(b"%d" % number, ends)
    assert not memory.use(b"first", ends)


def test_lock_of_another_process_is_waited_for_a_moment_only(file: Path) -> None:
    memory = SQLiteReplayCache(file)
    assert memory.use(b"1", until())
    other = sqlite3.connect(file.resolve(), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(lambda number: refused(memory, b"%d" % number), range(2, 42)))
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: used(memory, b"2", until()))


def test_while_it_fails_one_request_a_second_waits(file: Path) -> None:
    memory = SQLiteReplayCache(file)
    memory.prepare()
    other = sqlite3.connect(file.resolve(), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert refused(memory)
    begun = time.monotonic()
    assert [refused(memory) for _ in range(100)] == [True] * 100
    assert time.monotonic() - begun < 0.5
    other.close()


def test_nothing_is_used_when_the_disk_is_full_until_it_is_not(file: Path) -> None:
    room = [True]
    memory = SQLiteReplayCache(file, has_room=lambda *_: room[0])
    assert memory.use(b"1", until())
    room[0] = False
    assert refused(memory, b"2")
    room[0] = True
    wait_until(lambda: used(memory, b"2", until()))
    assert not memory.use(b"1", until())


def test_full_disk_can_be_swept(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten leaves its place in the file, although the file keeps the disk full."""
    clock = Clock()
    memory = SQLiteReplayCache(file, clock)
    for number in range(5_000):
        memory.use(b"%032d" % number, until())
    full = os.statvfs(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*full[:4], 0, *full[5:])))
    assert refused(memory)
    clock.offset = LIFETIME + 1
    wait_until(lambda: used(memory, b"another", until(clock.offset)), 20)


def test_file_that_cannot_grow_accepts_nothing_and_recovers(file: Path) -> None:
    """The operating system's own limit, in a process that it holds for."""
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()

    def fill() -> None:
        import resource

        memory = SQLiteReplayCache(file)
        memory.use(b"first", until())
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, most))
        accepted = 0
        while used(memory, b"%032d" % accepted, until()):
            accepted += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        wait_until(lambda: used(memory, b"last", until()))
        again = sum(used(memory, b"%032d" % number, until()) for number in range(accepted))
        results.put((accepted, again, used(memory, b"first", until())))

    process = fork.Process(target=fill)
    process.start()
    accepted, again, first = results.get()
    process.join(10)
    assert accepted > 10
    assert (again, first) == (0, False)


def test_deleted_file_is_made_anew_for_proofs_made_after_that(file: Path) -> None:
    first, second = SQLiteReplayCache(file), SQLiteReplayCache(file)
    ends = until()
    assert first.use(b"1", ends)
    assert not second.use(b"1", ends)
    for path in file.parent.iterdir():
        path.unlink()
    assert refused(first, b"1", made=30)
    assert refused(second, b"1", made=-1)
    assert refused(SQLiteReplayCache(file), b"1", made=-1)
    later = until(31)
    assert first.use(b"2", later)
    assert not second.use(b"2", later)


def test_deleted_log_of_the_file_forgets_nothing(file: Path) -> None:
    first, second, ends = SQLiteReplayCache(file), SQLiteReplayCache(file), until()
    second.use(b"0", ends)
    assert first.use(b"1", ends)
    for path in file.parent.glob("*-*-*"):
        path.unlink()
    assert refused(first, b"2", made=-1)
    assert not used(second, b"1", ends)
    assert not used(SQLiteReplayCache(file), b"1", ends)


def test_file_that_was_deleted_long_ago_costs_nobody_anything(file: Path) -> None:
    clock = Clock()
    parent, worker = SQLiteReplayCache(file, clock), SQLiteReplayCache(file, clock)
    for memory in (parent, worker):
        memory.prepare()
    for path in file.parent.iterdir():
        path.unlink()
    worker.prepare()
    clock.offset += 3_600
    parent.prepare()  # as a fork of it does, which still knows the file of old
    assert worker.use(b"1", clock() + 300)


def test_file_that_is_deleted_while_many_use_it_still_accepts_each_proof_once(file: Path) -> None:
    stores = [SQLiteReplayCache(file) for _ in range(8)]
    for memory in stores:
        memory.prepare()
    over = time.monotonic() + 2

    def hammer(memory: SQLiteReplayCache) -> list[int]:
        accepted = []
        number = 0
        while time.monotonic() < over:
            number += 1
            # All are made before the last time that the file is deleted, so they can't be known afterwards.
            accepted += [number] if used(memory, b"%d" % number, ends) else []
        return accepted

    ends = until(-1)
    with ThreadPoolExecutor(9) as threads:
        running = [threads.submit(hammer, memory) for memory in stores]
        for _ in range(5):
            time.sleep(0.2)
            for path in sorted(file.parent.iterdir()):  # as a shell does: the database, then its log
                path.unlink(missing_ok=True)
        accepted = Counter(number for each in running for number in each.result())
    assert accepted
    assert set(accepted.values()) == {1}


@pytest.mark.parametrize("content", [b"no database", b"\0" * 8_192, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_corrupt_file_accepts_nothing_until_it_is_deleted(file: Path, content: bytes) -> None:
    memory = SQLiteReplayCache(file)
    assert memory.use(b"1", until())
    for path in file.parent.iterdir():
        if not path.is_symlink():
            path.unlink()
    file.write_bytes(content)
    assert refused(memory, b"1", made=-1)
    file.unlink()
    wait_until(lambda: used(memory, b"2", until(31)))
    assert refused(memory, b"1", made=-1)


def test_database_of_another_program_stays_as_it_is(file: Path) -> None:
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE messages (id)")
    other.close()
    before = file.read_bytes()
    with pytest.raises(ReplaysUnavailable) as raised:
        SQLiteReplayCache(file).prepare()
    assert str(raised.value.__cause__) == "it is a database of another program"
    assert file.read_bytes() == before


def test_folder_in_place_of_the_file_is_refused(file: Path) -> None:
    file.mkdir()
    assert refused(SQLiteReplayCache(file))


def test_read_only_file_accepts_nothing_until_it_is_writable(file: Path) -> None:
    """As a user who isn't root, for whom nothing is read only."""
    ends = until()
    SQLiteReplayCache(file).use(b"1", ends)
    others = [path for path in file.parent.iterdir() if not path.is_symlink()]
    for path in others:
        path.chmod(0o444)
    for folder in (file.parent, *file.parent.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()

    def try_to_use() -> None:
        if os.getuid() == 0:
            os.setuid(65_534)
        memory = SQLiteReplayCache(file)
        results.put((refused(memory, b"1"), refused(memory, b"2")))

    process = fork.Process(target=try_to_use)
    process.start()
    assert results.get() == (True, True)
    process.join(10)
    for path in others:
        path.chmod(0o644)
    memory = SQLiteReplayCache(file)
    assert (memory.use(b"1", ends), memory.use(b"2", ends)) == (False, True)


def test_process_that_is_killed_has_forgotten_nothing_that_it_has_accepted(file: Path) -> None:
    memory, ends = SQLiteReplayCache(file), until()
    fork = multiprocessing.get_context("fork")
    for turn in range(3):
        accepted = fork.Value("i", 0, lock=False)  # a lock might die with its holder

        def hammer(first: int, accepted: Any) -> None:
            own = SQLiteReplayCache(file)
            while own.use(b"%d %d" % (first, accepted.value), ends):
                accepted.value += 1

        process = fork.Process(target=hammer, args=(turn, accepted))
        process.start()
        wait_until(lambda accepted=accepted: accepted.value > 100)
        process.kill()
        process.join(10)
        assert not any(memory.use(b"%d %d" % (turn, number), ends) for number in range(accepted.value))


@pytest.mark.parametrize("same", [True, False])
def test_many_processes_that_start_at_once_all_start(tmp_path: Path, *, same: bool) -> None:
    fork = multiprocessing.get_context("fork")
    barrier, number = fork.Barrier(20), 20

    def start(which: int) -> None:
        with patch("resource_server.tokens.replays.connect", slow_connect):
            barrier.wait()
            SQLiteReplayCache(tmp_path / f"used-{0 if same else which}.sqlite3").prepare()

    processes = [fork.Process(target=start, args=(which,)) for which in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * number


def slow_connect(*arguments: Any) -> Any:
    """As on a machine that has much to do."""
    time.sleep(0.1)
    return connect(*arguments)
