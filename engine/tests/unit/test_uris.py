"""URIs that are the same normalize to the same, and no others (RFC 3986, sections 5.2.4 and 6.2)."""

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from resource_server.tokens.uris import names, normalized
from tests.cases import THOROUGH

UNRESERVED = string.ascii_letters + string.digits + "-._~"
SUB_DELIMS = "!$&'()*+,;="
PORTS = {"http": 80, "https": 443}

NAMES = st.text(string.ascii_lowercase + string.digits + "-.", min_size=1, max_size=12)
ADDRESSES = st.ip_addresses(v=6).map(lambda address: f"[{address}]")
SEGMENTS = st.text(UNRESERVED + SUB_DELIMS + ":@", max_size=6).filter(lambda segment: segment not in (".", ".."))
URIS = st.builds(
    lambda scheme, host, port, segments: f"{scheme}://{host}{port}/{'/'.join(segments)}",
    st.sampled_from(["http", "https"]),
    NAMES | ADDRESSES,
    st.integers(1, 65_535).filter(lambda port: port not in PORTS.values()).map(":{}".format) | st.just(""),
    st.lists(SEGMENTS, max_size=4),
)
"""URIs that are normal already."""

LIKE_URIS = st.text(alphabet="htps:/?#[]@%.0123456789abcdefAF\\ \t\n\u017f\u00e9", max_size=40).map("http://".__add__)
"""Text that is one or nearly is."""


@st.composite
def respelled(draw: st.DrawFn, uri: str) -> str:
    """Another spelling of a normal URI."""
    scheme, _, rest = uri.partition("://")
    where, _, path = rest.partition("/")
    if not where.rpartition("]")[2].count(":"):
        where += draw(st.sampled_from(["", ":", f":{PORTS[scheme]}", f":0{PORTS[scheme]}"]))
    host, bracket, port = where.rpartition("]")
    if not bracket:
        host, port = _escaped(draw, where.partition(":")[0]), "".join(where.partition(":")[1:])
    segments = [_escaped(draw, segment) for segment in path.split("/")]
    for at in range(draw(st.integers(0, 2))):
        segments[at:at] = draw(st.sampled_from([["."], ["%2E"], ["x", ".."], ["x", "%2e%2E"], ["a", "b", "..", ".."]]))
    start = "".join(draw(st.sampled_from([letter, letter.upper()])) for letter in scheme)
    end = draw(st.sampled_from(["", "?", "?a=/../b", "#", "#x?y", "?é"]))
    return f"{start}://{host.swapcase() if draw(st.booleans()) else host}{bracket}{port}/{'/'.join(segments)}{end}"


def _escaped(draw: st.DrawFn, text: str) -> str:
    """The text with some of its unreserved characters escaped."""
    forms = ("{0}", "{0}", "%{1:02x}", "%{1:02X}")
    return "".join(
        draw(st.sampled_from(forms)).format(character, ord(character)) if character in UNRESERVED else character
        for character in text
    )


@THOROUGH
@given(URIS)
def test_normal_uri_stays_as_it_is(uri: str) -> None:
    assert normalized(uri) == uri


@THOROUGH
@given(st.data(), URIS)
def test_spellings_of_one_uri_are_equal(data: st.DataObject, uri: str) -> None:
    assert normalized(data.draw(respelled(uri))) == uri


@THOROUGH
@given(URIS, URIS)
def test_different_uris_stay_different(one: str, other: str) -> None:
    assume(one != other)
    assert normalized(one) != normalized(other)


@THOROUGH
@given(st.text() | LIKE_URIS)
def test_any_text_is_normalized_once_or_is_no_uri(text: str) -> None:
    once = normalized(text)
    assert once is None or normalized(once) == once


@THOROUGH
@given(SEGMENTS, SEGMENTS, st.integers(0, 255).map(chr).filter(lambda character: character not in UNRESERVED))
def test_escape_of_no_unreserved_character_stays_one(before: str, after: str, character: str) -> None:
    escape = f"%{ord(character):02X}"
    assert normalized(f"http://h/{before}{escape.lower()}{after}") == f"http://h/{before}{escape}{after}"
    same = normalized(f"http://h/{before}{character}{after}") == f"http://h/{before}{escape}{after}"
    assert same is (character in '"<>^`{|}[]')  # which can't be meant otherwise


SAME = [
    # RFC 3986, section 5.2.4
    ("http://h/a/b/c/./../../g", "http://h/a/g"),
    ("http://h/mid/content=5/../6", "http://h/mid/6"),
    # RFC 3986, section 5.4, resolved against http://a/b/c/d;p?q
    ("http://a/b/..", "http://a/"),
    ("http://a/b/c/..", "http://a/b/"),
    ("http://a/b/c/../../../g", "http://a/g"),
    ("http://a/b/c/../../../../g", "http://a/g"),
    ("http://a/b/c/g.", "http://a/b/c/g."),
    ("http://a/b/c/..g", "http://a/b/c/..g"),
    ("http://a/b/c/./g/.", "http://a/b/c/g/"),
    ("http://a/b/c/g/./h", "http://a/b/c/g/h"),
    ("http://a/b/c/g/../h", "http://a/b/c/h"),
    ("http://a/b/c/g;x=1/./y", "http://a/b/c/g;x=1/y"),
    ("http://a/b/c/g;x=1/../y", "http://a/b/c/y"),
    ("http://a/b/c/g?y/../x", "http://a/b/c/g"),
    ("http://a/b/c/g#s/../x", "http://a/b/c/g"),
    ("http://a/..", "http://a/"),
    # RFC 3986, section 6.2.2
    ("HTTP://www.EXAMPLE.com/", "http://www.example.com/"),
    ("http://example.com/%3a", "http://example.com/%3A"),
    ("http://example.com/%7Esmith", "http://example.com/~smith"),
    # RFC 3986, section 6.2.3
    ("http://example.com", "http://example.com/"),
    ("http://example.com:/", "http://example.com/"),
    ("http://example.com:80/", "http://example.com/"),
    ("https://example.com:443", "https://example.com/"),
    ("http://[2001:DB8::1]:80/", "http://[2001:db8::1]/"),
    # What browsers leave unescaped in a path.
    ("http://h/a|b[0]^", "http://h/a%7Cb%5B0%5D%5E"),
    ('http://h/"<>`{}', "http://h/%22%3C%3E%60%7B%7D"),
]


@pytest.mark.parametrize(("uri", "expected"), SAME)
def test_uri_of_the_rfc_is_normalized(uri: str, expected: str) -> None:
    assert normalized(uri) == expected


@pytest.mark.parametrize(
    ("htu", "url", "named"),
    [
        ("http://h/ok", "http://h/ok", True),
        ("http://h/x/../ok?a", "http://h/ok", True),
        ("http://h/a..b/.c", "http://h/a..b/.c", True),
        ("http://h/ok", "http://h/files/a/../../ok", False),
        ("http://h/", "http://h/items/%2e%2E", False),
        ("http://h/items/", "http://h/items/.", False),
        ("http://h/items/.", "http://h/items/.", False),
        ("no URI", "no URI", False),
    ],
)
def test_url_that_servers_may_take_otherwise_is_named_by_no_proof(htu: str, url: str, named: bool) -> None:  # noqa: FBT001
    assert names(htu, url) is named


DIFFERENT = [
    ("http://h/a%2Fb", "http://h/a/b"),
    ("http://h/a%3Fb", "http://h/a?b"),
    ("http://h/a%23b", "http://h/a#b"),
    ("http://h/a%3Bb", "http://h/a;b"),
    ("http://h/%252e%252e/a", "http://h/a"),
    ("http://h/%2541", "http://h/A"),
    ("http://h/a//b", "http://h/a/b"),
    ("http://h/a/", "http://h/a"),
    ("http://h/A", "http://h/a"),
    ("http://h./", "http://h/"),
    ("http://h:0/", "http://h/"),
    ("http://h:443/", "http://h/"),
    ("https://h/", "http://h/"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_uris_that_are_alike_stay_different(one: str, other: str) -> None:
    assert None is not normalized(one) != normalized(other)


NONE = ["", "/", "h", "//h/", "http:", "http:/h", "http://", "http:///a", "http://:80/", "ftp://h/", "ws://h/"]
NONE += [
    "http://u@h/",
    "http://u:p@h/",
    "http://@h/",
    "http://h:x/",
    "http://h:-1/",
    "http://h:65536/",
    "http://h:80:80/",
]
NONE += [
    " http://h/",
    "http://h/ ",
    "http://h /",
    "http://h\\a/",
    "http://h/\\a",
    "http://h/a\n",
    "http://h/\0",
    "\nhttp://h",
]
NONE += [
    "http://h/%",
    "http://h/%4",
    "http://h/%zz",
    "http://h%zz/",
    "http://%%341/",
    "http://h/é",
    "http://é/",
    "http\u017f://h/",
]
NONE += [
    "http://[::1]x/",
    "http://[::1]]/",
    "http://[::1",
    "http://[v1.x]/",
    "http://[fe80::1%25eth0]/",
]
NONE += [f"http://h:{'9' * 5000}/"]


@pytest.mark.parametrize("text", NONE)
def test_text_that_is_no_http_uri_or_names_a_user_is_none(text: str) -> None:
    assert normalized(text) is None
