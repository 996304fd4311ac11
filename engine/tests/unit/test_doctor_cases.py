"""What people have sent for an access token, and the one sentence of advice that each gets.

Some need the sample operation whose scope is `read:messages`.
"""

import dataclasses
import re
import time

import pytest

from resource_server.doctor.command import as_json, as_text, report_on
from resource_server.settings import Settings
from tests.doctor_cases import SAID, Said
from tests.sample import SPECIFICATION
from tests.tenant import Tenant

LOOSENS = re.compile(
    r"TOKEN_\w+=false|TOKEN_LEEWAY|leave the setting out|DPOP=|turn (it|that) off for (it|this)|trust it"
)


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.name)
def test_advice_fits_what_was_sent(tenant: Tenant, settings: Settings, said: Said) -> None:
    text = said.make(tenant)
    changed = dataclasses.replace(settings, **said.changes(tenant))
    report = report_on(text, changed, SPECIFICATION, time.time())
    assert report.walk is not None
    assert report.walk.kind.name == said.kind
    assert report.advice.startswith(said.advice)
    assert bool(report.advice) == bool(said.advice)
    said_anywhere = [report.advice, *(each.advice for each in (*report.findings, *report.operations))]
    assert not any(LOOSENS.search(advice) for advice in said_anywhere)
    issuer = report.walk.jwt.claims.get("iss") if report.walk.jwt else None
    if not any(str(issuer).rstrip("/") == each.rstrip("/") for each in changed.issuers):
        assert not any(f'AUTH0_DOMAIN as "{issuer}' in advice for advice in said_anywhere)
    shown = as_text(report) + as_json(report)
    signature = text.rpartition(".")[2].strip()
    assert len(signature) < 20 or signature not in shown
    assert "\r" not in shown


def test_cases_are_many_and_each_names_its_thread() -> None:
    assert len(SAID) >= 170
    assert len({said.name for said in SAID}) == len(SAID)
    assert all(re.fullmatch(r"https://[\w.-]+/[\w./#-]+", said.source) for said in SAID)
