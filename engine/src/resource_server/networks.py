"""Where a request comes from, and whether it goes to this machine."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from resource_server.tokens.issuer import is_loopback

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def comes_from(scope: Mapping[str, Any], networks: Networks) -> bool:
    """Whether a request's peer is in one of some networks."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client and networks else None
    except ValueError:
        return False
    return address is not None and any(address in network for network in networks)


def is_local(url: str) -> bool:
    """Whether a URL's host is this machine itself."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
