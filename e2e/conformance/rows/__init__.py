"""The requirements, a module for each part of the contract."""
