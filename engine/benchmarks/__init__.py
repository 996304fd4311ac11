"""Figures: what the API does under load, and how long it takes."""
