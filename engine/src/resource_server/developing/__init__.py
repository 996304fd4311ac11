"""What only development needs: an authorization server that gives tokens to anybody, and a server that reloads."""
