"""Tests with the tools of others: browsers, compilers, linters, what makes images and houses."""
