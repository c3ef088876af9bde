"""What a person is to answer: the desk where reviews are taken, handed out and brought back, and its callbacks."""

from typing import TYPE_CHECKING

from fastcascade.later import loader

if TYPE_CHECKING:
    from fastcascade.reviews.callbacks import Callbacks, new_secret, verify
    from fastcascade.reviews.desk import ReviewDesk

__all__ = ["Callbacks", "ReviewDesk", "new_secret", "verify"]

__getattr__ = loader(
    __name__,
    {
        "callbacks": "Callbacks new_secret verify",
        "desk": "ReviewDesk",
    },
)
