"""Reading a contract, saying what is wrong with it, and what can be read from it."""

import warnings

# Connexion imports Starlette's test client, which tells its users to replace httpx. There is nothing that ours can do.
warnings.filterwarnings("ignore", "Using `httpx` with `starlette.testclient`")
