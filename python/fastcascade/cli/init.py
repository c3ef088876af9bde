"""`fastcascade init`: a commented cascade.toml to begin with, which loads as it is once its keys are set."""

import argparse
import os
from pathlib import Path
from typing import Final

from fastcascade.errors import ConfigError

__all__ = ["PROVIDERS", "SUMMARY", "add_arguments", "execute", "starter"]

SUMMARY = "write a commented cascade.toml to begin with"
EPILOG = """\
The file names where keys are found and holds none. Then:

    fastcascade doctor cascade.toml      what is missing
    fastcascade serve cascade.toml       serve it at http://127.0.0.1:8080
"""

ANTHROPIC_SMALL: Final = (
    'backend = { kind = "anthropic", model = "claude-haiku-4-5", api_key = "env:ANTHROPIC_API_KEY", classic = true }\n'
    "price = { input = 1.0, output = 5.0 }           # dollars per million tokens; look them up"
)
ANTHROPIC_LARGE: Final = (
    'backend = { kind = "anthropic", model = "claude-opus-4-5", api_key = "env:ANTHROPIC_API_KEY", classic = true }\n'
    "price = { input = 5.0, output = 25.0 }"
)
OPENAI_SMALL: Final = (
    'backend = { kind = "openai", model = "gpt-5-mini", api_key = "env:OPENAI_API_KEY", logprobs = false }\n'
    "price = { input = 0.25, output = 2.0 }          # dollars per million tokens; look them up"
)
OPENAI_LARGE: Final = (
    'backend = { kind = "openai", model = "gpt-5", api_key = "env:OPENAI_API_KEY", logprobs = false }\n'
    "price = { input = 1.25, output = 10.0 }"
)
PROVIDERS: Final = {
    "anthropic": (ANTHROPIC_SMALL, ANTHROPIC_LARGE),
    "openai": (OPENAI_SMALL, OPENAI_LARGE),
    "mixed": (OPENAI_SMALL, ANTHROPIC_LARGE),
}
"""The small and the large tier, by what one asks for."""
CLAUDE: Final = '"claude-*" = { passthrough = "anthropic", api_key = "env:ANTHROPIC_API_KEY"'
GPT: Final = '"gpt-*" = { passthrough = "openai", api_key = "env:OPENAI_API_KEY"'

STARTER: Final = """\
# A cascade: each request is answered by the cheapest tier whose reply is good enough.
#
#     fastcascade doctor {name}     checks it        fastcascade serve {name}     serves it
#
# A key that is misspelt is an error. Secrets are never in this file: "env:NAME" is a variable of the environment,
# "file:path" a file that holds it. Paths begin at the folder of this file. `false` turns a part off.

[budget]                        # the most that one request may take in all, escalations included
deadline = 60                   # seconds
usd = 0.50

# The ladder, cheapest first. ---------------------------------------------------------------------------------------

[[tiers]]
name = "small"
{small}
timeout = 20                    # seconds, after which the next tier is asked
# When a reply is good enough: by the lower score of two that cost nothing. See also "consistency", "self report" and
# "judge", and `fastcascade calibrate`, which says from your own cases from where on to accept.
gate = {{ kind = "all of", gates = ["structure", "hedging"] }}
accept = 0.5

[[tiers]]
name = "large"                  # no gate: whatever it says is the answer
{large}

# When no tier has an answer, in this order. ------------------------------------------------------------------------

[[fallbacks]]
kind = "stale"                  # answers are kept, and given again when all else fails
stale_for = 3600                # seconds
per = "user"

[[fallbacks]]
kind = "static"
answer = "Sorry, nobody can answer this right now. Please try again in a minute."

# Where requests enter, by what is known beforehand.
# [lanes]
# large_tasks = ["legal"]       # these go to the large tier at once
# large = "large"

# The gateway. ------------------------------------------------------------------------------------------------------

[gateway]
host = "127.0.0.1"              # this machine alone; beyond it, callers need keys
port = 8080
workers = 1                     # processes; as many as there are processors
# tls = {{ cert = "cert.pem", key = "key.pem" }}
# keys = "keys.json"            # made by `fastcascade keys create`
# account = "sqlite:account.db" # what each key has used; or the URL of a Redis
# account_off = "closed"        # while that cannot be reached, keys with a hard budget are refused; "open" lets them in
# metrics_key = "env:METRICS"   # beyond this machine /metrics is for who has it, or has a key that is admin
# cache = {{ ttl = 300 }}         # the very same request of the same caller is answered at once
# decisions = {{ days = 30 }}     # what was decided is kept, for `fastcascade report` and `fastcascade top`
# console = {{}}                  # pages at /console/, for who has a password: `fastcascade console add NAME`

# "observe" answers by the last tier alone, as if there were no cascade, and writes what the cascade would have done and
# saved to observe.jsonl. Turn to "enforce" when you have seen enough; or by parts: enforce = 0.1 is a tenth of users.
mode = "observe"

[gateway.observe]
usd = 1.0                       # dollars a day that observing may spend on asking the cheaper tiers
enforce = 0.0
# routes = {{ support = "enforce" }}

[gateway.limits]
requests = 2000                 # in work at once in one worker
whole = 900                     # seconds for one request, a stream too

# Names that clients may ask for; with one cascade, any other name means that.
[gateway.models]
"fast" = {{ tier = "small" }}
# A provider's own model, whose bytes are passed on as they are; while observing it is noted what the cascade would do
# in its place, and where that is enforced the cascade answers. A star is for all names that begin so.
# {star}, instead = "cascade" }}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, default=Path("cascade.toml"),
                        help="the file to write (default: cascade.toml)")  # fmt: skip
    parser.add_argument("--provider", choices=tuple(PROVIDERS), default="anthropic",
                        help="whose models the tiers are (default: anthropic)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def execute(args: argparse.Namespace) -> int:
    """Write it."""
    file: Path = args.file
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if args.force else os.O_EXCL)
    try:
        with os.fdopen(os.open(file, flags, 0o644), "w", encoding="utf-8", newline="\n") as opened:
            opened.write(starter(args.provider, file.name))
    except FileExistsError:
        raise ConfigError(f"{file} is there already; --force writes over it") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or type(error).__name__}") from None
    print(f"{file} is written. Next: fastcascade doctor {file}")
    return 0


def starter(provider: str, name: str = "cascade.toml") -> str:
    """The text of the file."""
    small, large = PROVIDERS[provider]
    return STARTER.format(name=name, small=small, large=large, star=GPT if provider == "openai" else CLAUDE)
