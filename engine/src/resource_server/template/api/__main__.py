"""The command line: `python -m api …`."""

from resource_server.command import main

if __name__ == "__main__":
    main("api.app:create_app")
