"""How far one operator goes: sessions a second, memory, time to settle after a restart, writes.

    python -m e2e.scale [--sizes 1000,3000,10000] [--volumes 500] [--idle 60]

Operator, API server, etcd and scheduler are the real ones; nodes are played by kwok. The operator has one
processor core of its own, all the rest has the others.
"""
