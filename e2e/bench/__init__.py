"""Latency at the API's client on a cluster, beside what the same work costs without CodeSession.

    python -m e2e.bench [--rounds 40] [--claims 15] [--output build/bench.json]

The baselines run in the same process and interleaved: `exec_per_request` opens a `pods/exec` for every
request in a pod of the same specification, and `s3_direct_*` asks the same MinIO without the API in between.
"""
