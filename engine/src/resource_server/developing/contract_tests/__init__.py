"""Contract tests: does a server, this one or any other, do what the contract says?

Two parts: conformance, which Schemathesis tests, and authorization, a matrix of every operation and every defect that
credentials can have. Needs the extra `contract` of the package.
"""
