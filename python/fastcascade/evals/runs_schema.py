"""What a recording has in its SQLite file. Texts that people or models wrote are kept as JSON."""

from typing import Final

__all__ = ["MARK", "MIGRATIONS"]

MARK: Final = 0x46635252
"""The application_id of such a file."""

MIGRATIONS: Final = (
    (
        """CREATE TABLE cascades (seq INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, tiers TEXT NOT NULL,
            latest INTEGER NOT NULL DEFAULT 0)""",
        # A case whose question has changed is another row under the same id; `place` is where the last list has it.
        """CREATE TABLE cases (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, asked TEXT NOT NULL UNIQUE,
            slice TEXT NOT NULL, weight REAL NOT NULL, prompt TEXT NOT NULL, expected TEXT, rubric TEXT,
            place INTEGER)""",
        "CREATE INDEX cases_by_id ON cases (id)",
        # Written as each call ends, so that none is asked twice.
        """CREATE TABLE calls (of_cascade INTEGER NOT NULL, of_case INTEGER NOT NULL, label TEXT NOT NULL,
            failed INTEGER NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (of_cascade, of_case, label)) WITHOUT ROWID""",
        # Written when all of a case has been asked, and what each tier came to with it.
        """CREATE TABLE results (of_cascade INTEGER NOT NULL, of_case INTEGER NOT NULL, failure TEXT NOT NULL,
            request TEXT NOT NULL, entrance TEXT NOT NULL, PRIMARY KEY (of_cascade, of_case)) WITHOUT ROWID""",
        """CREATE TABLE tiers (of_cascade INTEGER NOT NULL, of_case INTEGER NOT NULL, place INTEGER NOT NULL,
            verdict TEXT NOT NULL, reply TEXT, signals TEXT NOT NULL, usage TEXT, cost REAL, gate_cost REAL,
            latency REAL NOT NULL, failure TEXT NOT NULL, grade REAL, reason TEXT NOT NULL, graded_by TEXT NOT NULL,
            PRIMARY KEY (of_cascade, of_case, place)) WITHOUT ROWID""",
        # Before a call is made it is there with what it may cost: a killed process has paid for it all the same.
        """CREATE TABLE spent (seq INTEGER PRIMARY KEY, what TEXT NOT NULL, usd REAL NOT NULL,
            settled INTEGER NOT NULL DEFAULT 0)""",
    ),
)
"""What leads from each version to the next. Never change one that was released: add another."""
