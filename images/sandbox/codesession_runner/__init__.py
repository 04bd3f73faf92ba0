"""The agent inside a sandbox: PID 1, stdlib only. `frames` is the one module that it shares with the API."""
