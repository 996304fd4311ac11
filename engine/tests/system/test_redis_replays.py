"""The memory of used proofs in Redis, which can be lost, full, slow, or not there at all."""

import datetime as dt
import ipaddress
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from resource_server.tokens.errors import ReplaysUnavailable
from resource_server.tokens.redis_replays import RedisReplayCache
from resource_server.tokens.replays import LIFETIME
from tests.redis_server import RedisServer
from tests.remembering import refused, until, used
from tests.serving import wait_until


@pytest.fixture
def memory(redis: RedisServer) -> RedisReplayCache:
    return RedisReplayCache(redis.url)


def test_redis_that_is_down_accepts_nothing_until_it_is_up(stopped_redis: RedisServer) -> None:
    memory = RedisReplayCache(stopped_redis.url)
    assert refused(memory, b"1", made=-1)
    with stopped_redis.running():
        wait_until(lambda: used(memory, b"1", until()))


def test_redis_that_hangs_costs_each_request_a_moment_and_most_none(
    redis: RedisServer, memory: RedisReplayCache
) -> None:
    ends = until()
    assert memory.use(b"1", ends)
    with redis.paused():
        with ThreadPoolExecutor(6) as threads:
            assert all(threads.map(lambda number: refused(memory, b"%d" % number), range(2, 60)))
        begun = time.monotonic()
        assert [refused(memory) for _ in range(100)] == [True] * 100
        assert time.monotonic() - begun < 1
        assert refused(RedisReplayCache(redis.url))
    wait_until(lambda: used(memory, b"later", ends))
    assert not memory.use(b"1", ends)


def test_redis_that_is_started_anew_accepts_only_what_was_made_after_that(stopped_redis: RedisServer) -> None:
    memory = RedisReplayCache(stopped_redis.url)
    ends = until()
    with stopped_redis.running():
        assert memory.use(b"1", ends)
    with stopped_redis.running():
        wait_until(lambda: used(memory, b"2", until(31)))
        assert refused(memory, b"1", made=-1)
        assert not used(memory, b"1", ends)


def test_redis_that_has_been_flushed_accepts_only_what_was_made_after_that(
    redis: RedisServer, memory: RedisReplayCache
) -> None:
    ends = until()
    assert memory.use(b"1", ends)
    redis.say("FLUSHALL")
    assert not used(memory, b"1", ends)
    assert memory.use(b"2", until(31))


def test_process_that_has_used_nothing_notices_that_redis_has_lost_its_memory(redis: RedisServer) -> None:
    busy, idle = RedisReplayCache(redis.url), RedisReplayCache(redis.url)
    ends = until()
    assert busy.use(b"1", ends)
    redis.say("FLUSHALL")
    assert refused(idle, b"1", made=-1)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "volatile-lru", "allkeys-random"])
def test_redis_that_may_evict_accepts_nothing_until_it_may_not(redis: RedisServer, policy: str) -> None:
    redis.say("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
    memory = RedisReplayCache(redis.url)
    assert refused(memory)
    redis.say("CONFIG", "SET", "maxmemory-policy", "noeviction")
    wait_until(lambda: used(memory, b"1", until()))


def test_policy_that_is_changed_later_is_noticed(redis: RedisServer) -> None:
    ahead = [0.0]
    memory = RedisReplayCache(redis.url, monotonic=lambda: time.monotonic() + ahead[0])
    assert memory.use(b"1", until())
    redis.say("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
    ahead[0] = 11
    assert refused(memory)


def test_full_redis_accepts_nothing_until_it_has_room(redis: RedisServer, memory: RedisReplayCache) -> None:
    ends = until()
    assert memory.use(b"1", ends)
    redis.say("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction")
    assert refused(memory, b"2")
    redis.say("CONFIG", "SET", "maxmemory", "0")
    wait_until(lambda: used(memory, b"2", ends))
    assert not memory.use(b"1", ends)


def test_redis_with_another_password_accepts_nothing(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    redis.say("CONFIG", "SET", "requirepass", "right")
    for url in (redis.url, redis.url.replace("//", "//:wrong-one@")):
        assert refused(RedisReplayCache(url))
    assert "wrong-one" not in caplog.text
    assert RedisReplayCache(redis.url.replace("//", "//:right@")).use(b"1", until())


def test_redis_forgets_proofs_when_they_are_over(redis: RedisServer, memory: RedisReplayCache) -> None:
    memory.use(b"1", until())
    assert LIFETIME - 5 < redis.say("TTL", "dpop:1") <= LIFETIME + 1


def test_redis_that_speaks_no_tls_accepts_nothing(redis: RedisServer) -> None:
    assert refused(RedisReplayCache(redis.url.replace("redis://", "rediss://")))


@pytest.mark.parametrize("host", ["..", "x" * 64, "nowhere.invalid"])
def test_host_that_cannot_be_reached_accepts_nothing(host: str) -> None:
    with pytest.raises(ReplaysUnavailable):
        RedisReplayCache(f"redis://{host}:6379").use(b"1", until())


@pytest.mark.parametrize(
    "url",
    ["nonsense", "http://127.0.0.1", "redis://:pa/ss@127.0.0.1", "redis://x?nonsense=1", "redis://x?port=y", "//x"],
)
def test_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # what it says is Redis's
        RedisReplayCache(url)


def test_certificate_of_redis_is_checked(tmp_path: Path, stopped_redis: RedisServer) -> None:
    """With TLS, one that is signed by nobody known is as good as none."""
    certificate, key = self_signed(tmp_path)
    tls = [
        "--port",
        "0",
        "--tls-port",
        stopped_redis.url.rpartition(":")[2].partition("/")[0],
        "--tls-auth-clients",
        "no",
    ]
    secure = stopped_redis.url.replace("redis://", "rediss://")
    with stopped_redis.running(*tls, "--tls-cert-file", str(certificate), "--tls-key-file", str(key)):
        assert refused(RedisReplayCache(secure))
        assert RedisReplayCache(f"{secure}?ssl_ca_certs={certificate}").use(b"1", until())


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(signed.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, private
