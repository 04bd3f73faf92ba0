"""LibreChat's real clients, driven from Python without a language model."""
