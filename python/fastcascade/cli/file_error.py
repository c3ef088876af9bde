"""What is wrong with a file of the user's."""

__all__ = ["FileError"]


class FileError(Exception):
    """The user's file is at fault: where, and what to do."""

    def __init__(self, source: str, number: int | None, problem: str) -> None:
        """`number` is the line, None where the whole file is meant."""
        super().__init__(f"{source}: {problem}" if number is None else f"{source}:{number}: {problem}")
        self.number = number
