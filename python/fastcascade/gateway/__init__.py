"""The gateway: a cascade, or several, behind the APIs that clients speak already.

    app.py work.py limits.py replies.py      one request: in, bounded, kept, out; and what ends it early
    beside.py health.py metrics.py           /healthz, /readyz, /metrics
    requests_log.py                          the access log
    settings.py loading.py tls.py            what it is told
    serve.py staff.py worker.py              the supervisor, its workers, and one of them
    listening.py silent.py watched.py        the socket; connections nobody uses; files that change

It needs the extra `gateway`, and is loaded by `fastcascade serve` alone.
"""
