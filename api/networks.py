"""Where a request comes from."""

import ipaddress
from collections.abc import Mapping
from typing import Any

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def comes_from(scope: Mapping[str, Any], networks: Networks) -> bool:
    """Whether a request's peer is in one of some networks."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0]) if client and networks else None
    except ValueError:
        return False
    return address is not None and any(address in network for network in networks)
