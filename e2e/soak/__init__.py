"""A time of use in which everything is killed: users work through the API while pods, runners, replicas,
the operator, the store and the streams between them are ended at random.

    python -m e2e.soak --minutes 30

Every answer is checked: it is right, or one of the errors that `docs/failures.md` speaks of; at the end
nothing is left that has no owner. `build/soak.json` has it all; the exit status is 0 when all was well.
"""
