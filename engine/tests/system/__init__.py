"""Tests with browsers, compilers, Node and other servers."""
