"""The probes, a module for each wall: an experiment gives facts, and judges of these are probes."""
