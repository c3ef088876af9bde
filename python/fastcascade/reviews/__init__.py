"""What a person is to answer: the desk where reviews are taken, handed out and brought back, and its callbacks."""

from fastcascade.reviews.callbacks import Callbacks, new_secret, verify
from fastcascade.reviews.desk import ReviewDesk

__all__ = ["Callbacks", "ReviewDesk", "new_secret", "verify"]
