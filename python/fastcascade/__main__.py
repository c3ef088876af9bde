"""`python -m fastcascade`."""

import sys

from fastcascade.cli import main

sys.exit(main())
