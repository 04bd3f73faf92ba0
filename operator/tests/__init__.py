"""A package, so that pytest knows it as `tests`: `operator.tests` would replace the stdlib's `operator`."""
