"""Run a program and look at what it did.

The server is the one of CODESESSION_URL, or `codesession local` on this machine.
"""

from codesession import Client

with Client() as client:
    result = client.execute("print(40 + 2)")
    print(f"it printed {result.stdout!r} and exited with {result.exit_code}")

    # What a program does wrong is no error of the client: it is in the result.
    result = client.execute("1 / 0")
    print(f"it exited with {result.exit_code}: {result.stderr.splitlines()[-2]}")
