"""The gateway: a cascade, or several, behind the APIs that clients speak already.

    app.py                      one request: in, bounded, kept, out
    work.py limits.py           requests in work, and what ends them early; bodies within bounds, refusals
    unwelcome.py paced.py       requests of foreign pages; answers no faster than they are taken
    replies.py                  whole answers that are kept
    purges.py slate.py          what is forgotten on demand; how workers tell one another
    admin.py                    what operators ask for
    decided.py requests_log.py  what is told of a request that is over; the access log
    beside.py health.py         /healthz, /readyz, /metrics
    metrics.py                  what has been counted

    by_keys.py in_use.py        who may come in; keys in use, and each of their requests
    gatekeeper.py               what they may use, counted here
    gatekeeper_shared.py        and counted for all gateways together
    keys.py key_store.py        a key without its secret; the file of keys
    owned_file.py               a file of ours that is replaced whole
    rates.py                    how often a key may ask
    meter.py money.py           budgets of keys; what the next request of one may spend
    book.py                     what was used, as one process knows it
    account.py                  what was used, as all share it
    account_sqlite.py           that in a file
    account_redis.py            what is to be read in Redis

    choosing.py                 which requests are passed on as they are
    passthrough.py              a provider behind the gateway, as it is
    passthrough_headers.py      which headers go there, and which come back
    passthrough_pieces.py       a stream from there
    passthrough_usage.py        what is read of a body and of an answer
    passthrough_account.py      what is told of one that was passed on

    observe.py                  the last tier answers, and what the cascade would have done is noted
    observe_passed.py           what was passed on, as the answer of that tier
    observe_look.py             asking the others beside it
    observe_log.py              the log, and the money of a day

    proxy.py proxy_table.py     routes of the table: which requests are whose; compiled
    proxy_turn.py               a request that an app answers
    proxy_headers.py            its headers both ways, how it is framed, where it goes
    proxy_forward.py            to a pool, and elsewhere where that loses and doubles nothing
    proxy_upload.py             its body
    proxy_answer.py             its answer, cut where it was cut
    proxy_pool.py               instances: who is asked, what is learned, who is dead
    proxy_link.py               connections to one
    proxy_cache.py              answers that are kept
    proxy_socket.py             websockets
    proxy_handshake.py          how one begins
    proxy_said.py               what is said without an app
    proxy_settings.py           what is told of routes
    proxy_upstream.py           and of pools
    proxy_words.py              and of headers

    settings.py loading.py      what it is told, and what is built of it
    settings_seen.py seen.py    what it is told about being looked at; what looks
    tls.py watched.py           certificates; files that change
    serve.py staff.py           the supervisor, and its workers
    following.py courier.py     a configuration that is published: followed; fetched, in a process of its own
    copies.py                   the last good copies of it
    joined.py                   what a worker shares with other gateways
    worker.py                   one of them
    listening.py                the socket
    silent.py acked.py          connections on which nothing moves, and what of them the kernel knows

It needs the extra `gateway`, and is loaded by `fastcascade serve` alone.
"""
