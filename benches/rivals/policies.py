"""Eviction policies of the literature in plain Python, to count hits with: each takes the keys of a trace and a size.

LRU; S3-FIFO (Yang et al., SOSP 2023) with a tenth of the cache as its small queue, promotion at the second hit and a
ghost queue as long as its main queue; SIEVE (Zhang et al., NSDI 2024); and Belady's MIN, which knows the future, may
refuse to keep what it has just read, and so is the ceiling for all.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Sequence


def lru(keys: Sequence[int], size: int) -> int:
    """Least recently used."""
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in keys:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
        else:
            if len(kept) >= size:
                kept.popitem(last=False)
            kept[key] = None
    return hits


def s3fifo(keys: Sequence[int], size: int) -> int:
    """Two queues and a ghost: what is read once while in the small queue leaves by it."""
    small_size = max(1, size // 10)
    ghost_size = max(1, size - small_size)
    small: deque[int] = deque()
    main: deque[int] = deque()
    ghost: OrderedDict[int, None] = OrderedDict()
    uses: dict[int, int] = {}  # of what is kept
    hits = 0

    def evict_main() -> bool:
        while main:
            oldest = main.popleft()
            if uses[oldest] > 0:
                uses[oldest] -= 1
                main.append(oldest)
            else:
                del uses[oldest]
                return True
        return False

    def evict_small() -> bool:
        while small:
            oldest = small.popleft()
            if uses[oldest] > 1:
                uses[oldest] = 0
                main.append(oldest)
                continue
            del uses[oldest]
            ghost[oldest] = None
            if len(ghost) > ghost_size:
                ghost.popitem(last=False)
            return True
        return False

    for key in keys:
        count = uses.get(key)
        if count is not None:
            hits += 1
            if count < 3:
                uses[key] = count + 1
            continue
        while len(uses) >= size:
            if not (len(small) >= small_size and evict_small()) and not evict_main():
                evict_small()
        if key in ghost:
            del ghost[key]
            main.append(key)
        else:
            small.append(key)
        uses[key] = 0
    return hits


def sieve(keys: Sequence[int], size: int) -> int:
    """One queue in order of arrival, and a hand that goes through it and spares what was read since it last came by."""
    newer: dict[int, int] = {}
    older: dict[int, int] = {}
    visited: dict[int, bool] = {}
    newest = oldest = hand = -1
    hits = 0
    for key in keys:
        if key in visited:
            visited[key] = True
            hits += 1
            continue
        if len(visited) >= size:
            at = hand if hand >= 0 else oldest
            while visited[at]:
                visited[at] = False
                at = newer[at] if newer[at] >= 0 else oldest
            up, down = newer.pop(at), older.pop(at)
            hand = up
            if up >= 0:
                older[up] = down
            else:
                newest = down
            if down >= 0:
                newer[down] = up
            else:
                oldest = up
            del visited[at]
        visited[key] = False
        older[key], newer[key] = newest, -1
        if newest >= 0:
            newer[newest] = key
        else:
            oldest = key
        newest = key
    return hits


def belady(keys: Sequence[int], size: int) -> int:
    """Of what is kept and what has just been read, drop what is needed again last."""
    never = len(keys)
    following = [never] * len(keys)
    seen: dict[int, int] = {}
    for index in range(len(keys) - 1, -1, -1):
        following[index] = seen.get(keys[index], never)
        seen[keys[index]] = index
    kept: dict[int, int] = {}  # key -> next use
    heap: list[tuple[int, int]] = []
    hits = 0
    for index, key in enumerate(keys):
        hits += key in kept
        kept[key] = following[index]
        heapq.heappush(heap, (-following[index], key))
        while len(kept) > size:
            use, last = heapq.heappop(heap)
            if kept.get(last) == -use:
                del kept[last]
    return hits


# (keys, size, hits of lru, s3fifo, sieve, belady), worked out by hand.
CASES = (
    ("ababab", 2, (4, 4, 4, 4)),
    ("abcabc", 2, (0, 0, 0, 2)),
    ("abacab", 2, (2, 1, 2, 3)),
    ("aabcda", 2, (1, 1, 1, 2)),
    ("aaabcda", 3, (2, 3, 3, 3)),
    ("abcdabcd", 4, (4, 4, 4, 4)),
)
ALL = {"LRU": lru, "S3-FIFO": s3fifo, "SIEVE": sieve, "Belady": belady}


def check() -> None:
    """The tiny cases; raises on the first that is wrong."""
    for text, size, expect in CASES:
        found = tuple(policy([ord(letter) for letter in text], size) for policy in ALL.values())
        if found != expect:
            raise AssertionError(f"{text} at size {size}: {dict(zip(ALL, found, strict=True))}, by hand {expect}")


if __name__ == "__main__":
    check()
    print(f"{len(CASES)} cases by hand agree")
