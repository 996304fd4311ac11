"""`python -m api doctor`: why is my token refused?

Looks at the configuration, at a token, or at what a running API answers.
"""
