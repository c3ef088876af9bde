"""What the store of reviews has in its SQLite file, and the statements that use it.

What never changes of a review is in `papers`, as JSON: a row of `reviews` is rewritten with each change, and prompts
are long. A `due` that is none is infinite, so that one index has all in their order.
"""

from typing import Final

__all__ = [
    "ADD",
    "ANSWER",
    "ASKED_FOR",
    "CALLED",
    "CALLS",
    "CLAIM",
    "COUNTS",
    "DROP",
    "END",
    "FREE",
    "GET",
    "LISTED",
    "MARK",
    "MIGRATIONS",
    "OFFER",
    "OVER",
    "PAPERS",
    "PLACE",
    "RELEASE",
    "RENEW",
    "STANDING",
    "UNCALLED",
]

MARK: Final = 0x46635256
"""The application_id of such a file."""

MIGRATIONS: Final = (
    (
        """CREATE TABLE reviews (
            seq INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            created REAL NOT NULL,
            due REAL NOT NULL,
            reviewer TEXT NOT NULL,
            lease TEXT,
            leased_until REAL,
            claims INTEGER NOT NULL,
            answer TEXT,
            ended REAL,
            tells INTEGER NOT NULL,
            call_at REAL,
            called INTEGER NOT NULL,
            calls INTEGER NOT NULL
        )""",
        "CREATE TABLE papers (seq INTEGER PRIMARY KEY, paper TEXT NOT NULL)",
        "CREATE INDEX reviews_by_due ON reviews (state, due, created)",
        "CREATE INDEX reviews_by_state ON reviews (state, created)",
        "CREATE INDEX reviews_by_age ON reviews (created)",
        "CREATE INDEX reviews_to_call ON reviews (call_at) WHERE call_at IS NOT NULL",
        "CREATE INDEX reviews_done ON reviews (ended) WHERE ended IS NOT NULL AND call_at IS NULL",
    ),
)
"""What leads from each version to the next. Never change one that was released: add another."""

SHOWN: Final = (
    "SELECT seq, due, created, (SELECT paper FROM papers WHERE papers.seq = reviews.seq), state, reviewer,"
    " leased_until, claims, answer, ended, called, calls FROM reviews"
)

GET: Final = f"{SHOWN} WHERE id = ?"
ADD: Final = (
    "INSERT INTO reviews (id, state, created, due, reviewer, lease, leased_until, claims, answer, ended, tells,"
    " call_at, called, calls) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PAPERS: Final = "INSERT INTO papers (seq, paper) VALUES (?, ?)"

IN_ORDER: Final = "due <= :due ORDER BY due, created, seq LIMIT :limit OFFSET :skip"
FREE: Final = (
    f"{SHOWN} WHERE state = 'waiting' AND {IN_ORDER}",
    f"{SHOWN} WHERE state = 'claimed' AND leased_until <= :now AND {IN_ORDER}",
)
"""Those that may be claimed, or may expire; each in the order in which they are due."""
ASKED_FOR: Final = (
    f"{SHOWN} WHERE id = :id AND (state = 'waiting' OR (state = 'claimed' AND (leased_until <= :now"
    " OR reviewer = :reviewer)))"
)
CLAIM: Final = (
    "UPDATE reviews SET state = 'claimed', reviewer = ?, lease = ?, leased_until = ?, claims = claims + 1 WHERE seq = ?"
)
RENEW: Final = "UPDATE reviews SET leased_until = ? WHERE id = ? AND state = 'claimed' AND lease = ?"
RELEASE: Final = (
    "UPDATE reviews SET state = 'waiting', reviewer = '\"\"', lease = NULL, leased_until = NULL"
    " WHERE id = ? AND state = 'claimed' AND lease = ?"
)
ANSWER: Final = (
    "UPDATE reviews SET state = 'answered', answer = :answer, ended = :now, leased_until = NULL,"
    " call_at = CASE WHEN tells THEN :now END WHERE id = :id AND state = 'claimed' AND lease = :lease"
)
STANDING: Final = "SELECT state, lease = ?, answer FROM reviews WHERE id = ?"
END: Final = (
    "UPDATE reviews SET state = 'expired', ended = :now, lease = NULL, leased_until = NULL,"
    " call_at = CASE WHEN tells THEN :now END WHERE seq = :seq"
)

PLACE: Final = "SELECT created, seq FROM reviews WHERE id = ?"
LISTED: Final = {
    False: f"{SHOWN} WHERE (created, seq) > (:created, :seq) ORDER BY created, seq LIMIT :limit",
    True: f"{SHOWN} WHERE state = :state AND (created, seq) > (:created, :seq) ORDER BY created, seq LIMIT :limit",
}
"""By whether one state alone is wanted."""
COUNTS: Final = "SELECT state, COUNT(*), MIN(created) FROM reviews GROUP BY state"
UNCALLED: Final = "SELECT COUNT(*) FROM reviews WHERE call_at IS NOT NULL"

CALLS: Final = f"{SHOWN} WHERE call_at <= ? ORDER BY call_at, seq"
OFFER: Final = "UPDATE reviews SET call_at = ? WHERE seq = ?"
CALLED: Final = (
    "UPDATE reviews SET calls = calls + 1, called = ?, call_at = ? WHERE id = ? AND ended IS NOT NULL"
    " AND call_at IS NOT NULL"
)

OVER: Final = "SELECT seq FROM reviews WHERE ended IS NOT NULL AND call_at IS NULL AND ended < ? LIMIT ?"
DROP: Final = ("DELETE FROM reviews WHERE seq = ?", "DELETE FROM papers WHERE seq = ?")
