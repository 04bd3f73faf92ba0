"""Latency at the API's client on a cluster, beside what the same work costs without CodeSession.

    python -m e2e.bench [--rounds 40] [--claims 15] [--clients 1 5 10 20 50] [--output build/bench.json]

The baselines run in the same process and interleaved: `exec_per_request` opens a `pods/exec` for every
request in a pod of the same specification, `container_per_request` makes a gVisor pod for every request and
imports there what a sandbox has ready, and `s3_direct_*` asks the same MinIO without the API in between.
The ratios between them are held by `gate`.
"""
