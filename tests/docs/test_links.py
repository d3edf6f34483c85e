"""Links between the pages lead somewhere; addresses outside are well formed (nothing is fetched)."""

from urllib.parse import urlsplit

import pytest
from tests.docs.pages import LINKED, ROOT, anchors, inline, name_of

TEMPORARY = ("localhost", "127.0.0.1")


def links(page):
    attributes = {"link_open": "href", "image": "src"}
    found = [(token.type, token.attrGet(attributes[token.type])) for token in inline(page) if token.type in attributes]
    return [target for _, target in found]


@pytest.mark.parametrize("page", LINKED, ids=name_of)
def test_links(page):
    assert broken(page, links(page)) == []


def broken(page, targets):
    """(target, why) of each that leads nowhere."""
    reasons = []
    for target in targets:
        address = urlsplit(target)
        if address.scheme:
            is_plain = address.scheme == "https" or (address.scheme, address.netloc) == (
                "http",
                "chenlab.ece.cornell.edu",
            )
            if not is_plain or "." not in address.netloc or " " in target or address.hostname in TEMPORARY:
                reasons.append((target, "is no https address"))
            continue
        place = (page.parent / address.path).resolve() if address.path else page
        if not place.is_relative_to(ROOT) or not place.exists():
            reasons.append((target, "is not there"))
        elif address.fragment and (place.is_dir() or address.fragment not in anchors(place)):
            reasons.append((target, f"is no heading of {name_of(place)}"))
    return reasons


def test_a_broken_link_is_found():
    page = ROOT / "README.md"
    targets = [
        "docs/method.md#networks",
        "docs/method.md#no-such",
        "docs/nowhere.md",
        "../README.md",
        "ftp://a.b",
        "#try-it",
    ]
    assert broken(page, targets) == [
        ("docs/method.md#no-such", "is no heading of docs/method.md"),
        ("docs/nowhere.md", "is not there"),
        ("../README.md", "is not there"),
        ("ftp://a.b", "is no https address"),
    ]
