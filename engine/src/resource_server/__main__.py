"""`python -m resource_server`, for where the command `resource-server` isn't installed."""

from resource_server.developing.new import main

main()
