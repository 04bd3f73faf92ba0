"""What stops the cluster commands, said in one line."""


class ClusterError(Exception):
    """Something is missing or failed; the message is for the person at the terminal."""
