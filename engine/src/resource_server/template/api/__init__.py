"""Your application: its operations, and what it is made of."""
