"""What no part of a file can know for itself: whether the names it says are those of tiers, and how links follow."""

import re
from collections.abc import Mapping
from typing import Any, Final

from fastcascade.config.building import BAD
from fastcascade.config.document import Node
from fastcascade.config.reader import Reader
from fastcascade.errors import ConfigError
from fastcascade.fallbacks.chain import Chain
