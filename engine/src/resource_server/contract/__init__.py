"""Reading a contract, saying what is wrong with it, and what can be read from it."""
