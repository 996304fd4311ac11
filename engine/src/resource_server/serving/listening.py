"""A socket to listen on."""

import socket

import click


def listen(host: str, port: int, what: str = "the API") -> socket.socket:
    """A socket that listens on an address.

    Args:
        host: The address, or a name for it.
        port: The TCP port; 0 takes any that is free.
        what: What it is for, to be told when it fails.

    Raises:
        click.ClickException: It can't; the message says what to set.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = error.strerror or error
        raise click.ClickException(
            f"{host} can't be listened on at port {port}, for {what}: {why}. Set HOST or PORT to another."
        ) from error
