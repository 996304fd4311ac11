"""Random histories of an issuer and of whoever asks for its keys; what must hold of the cache in each."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resource_server.tokens.errors import InvalidToken, IssuerUnavailable, Refusal
from resource_server.tokens.issuer import IssuerError
from resource_server.tokens.keycache import KeyPending
from resource_server.tokens.keys import PublicKey
from tests.cases import THOROUGH
from tests.tenant import rsa_key
from tests.unit.test_keycache import Issuer

KEYS: list[PublicKey] = [rsa_key(name) for name in ("a", "a", "b", "b", "c")]
"""Some of one name, as when an issuer puts another key in the place of one."""

MAX_STALE = 86_400
BURST, INTERVAL = 3, 30
kids = st.sampled_from(["a", "b", "c", "d", None])


class Histories(RuleBasedStateMachine):
    """What is done with a cache, and what is known of it from outside."""

    @initialize(lifetime=st.sampled_from([60.0, 600.0, 86_400.0]))
    def begin(self, lifetime: float) -> None:
        self.issuer = Issuer()
        self.issuer.published = KEYS[:1]
        self.issuer.lifetime = lifetime
        self.began = self.issuer.now
        self.fetched_at: float | None = None
        self.held = list(self.issuer.published)
        self.failures = 0
        self.seen = 0

    # The issuer

    @rule(keys=st.lists(st.sampled_from(KEYS), max_size=3))
    def publish(self, keys: list[PublicKey]) -> None:
        self.issuer.published = keys

    @rule(down=st.booleans(), patience=st.sampled_from([None, 0.0, 40.0]))
    def fail(self, *, down: bool, patience: float | None) -> None:
        self.issuer.failure = IssuerError("down", patience) if down else None

    @rule(seconds=st.sampled_from([0.5, 5.0, 31.0, 61.0, 500.0, 3_600.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.issuer.now += seconds

    # Whoever asks

    @rule(kid=kids)
    def ask(self, kid: str | None) -> None:
        before = list(self.held)
        found = self.answered(kid, None)
        if isinstance(found, Refusal):
            assert found is Refusal.UNKNOWN_KEY
        elif found is not None:  # it may have been looked up while nobody waited for a refresh
            assert any(found.thumbprint() == key.thumbprint() for key in (*before, *self.held))
            assert kid is None or found.kid == kid

    @rule(kid=kids)
    def ask_for_another(self, kid: str | None) -> None:
        wrong = self.answered(kid, None)
        if not isinstance(wrong, Refusal | None):
            found = self.answered(kid, wrong)
            assert found is Refusal.SIGNATURE or (found is not None and found is not wrong)

    @rule()
    def look(self) -> None:
        self.issuer.cache.ready()
        self.learn()

    def answered(self, kid: str | None, wrong: PublicKey | None) -> PublicKey | Refusal | None:
        """A key, or why there is none; nothing while the issuer can't be asked. Nobody waits for a third fetch."""
        pending = None
        for _ in range(3):
            try:
                found = self.issuer.cache.key(kid, "RS256", pending, wrong)
            except KeyPending as raised:
                pending = raised
                pending.fetch.result(10)
            except InvalidToken as error:
                self.learn()
                return error.refusal
            except IssuerUnavailable as error:
                unavailable = error
                break
            else:
                self.learn()
                return found
        else:
            raise AssertionError("it would wait for ever")
        self.learn()
        assert self.issuer.failure or self.failures
        assert 1 <= int(unavailable.headers["Retry-After"]) <= 41
        return None

    def learn(self) -> None:
        """Take over what the fetches since the last look have brought."""
        self.issuer.settle()
        for brought in self.issuer.brought[self.seen :]:
            self.seen += 1
            if brought is None:
                self.failures += 1
            else:
                self.fetched_at, self.held, self.failures = self.issuer.now, brought, 0

    # What holds

    @invariant()
    def fetches_stay_under_their_rate(self) -> None:
        if hasattr(self, "issuer"):
            elapsed = self.issuer.now - self.began
            at_most = 1 + BURST + elapsed / INTERVAL + elapsed / (0.8 * self.issuer.lifetime) + elapsed
            assert self.issuer.fetches <= at_most + 1

    @invariant()
    def held_keys_survive_an_outage(self) -> None:
        if hasattr(self, "issuer") and self.issuer.failure and self.fetched_at is not None:
            age = self.issuer.now - self.fetched_at
            firsts = {key.kid: key for key in reversed(self.held)}
            for kid, key in firsts.items():
                found = self.answered(kid, None)
                if age < MAX_STALE:
                    assert not isinstance(found, Refusal | None)
                    assert found.thumbprint() == key.thumbprint()


TestHistories = Histories.TestCase
TestHistories.settings = settings(THOROUGH, stateful_step_count=25)
