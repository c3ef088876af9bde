"""What several processes share, in one Redis or Valkey, behind Sentinel, or in a cluster.

`pip install 'fastcascade[redis]'`. Wanted is Redis from 6.2 on, or any Valkey.
"""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.shared.news import News
    from fastcascade.shared.script import Script
    from fastcascade.shared.shared import Shared
    from fastcascade.shared.target import Target

__all__ = ["News", "Script", "Shared", "Target"]

__getattr__ = loader(
    __name__,
    {
        "news": "News",
        "script": "Script",
        "shared": "Shared",
        "target": "Target",
    },
)
