"""Whether a server keeps LibreChat's contract: one small function per requirement, for any base URL.

Knows nothing of the server but its wire. `python -m e2e.conformance --base-url URL` prints the table; pytest
runs the same functions on each target (`e2e/tests/contract/test_conformance.py`).
"""
