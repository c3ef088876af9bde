"""The books of a run of the CDN scenario: what must add up, whatever was measured."""

from cdn_model import EDGE, ORIGIN, Site
from cdn_run import Run

__all__ = ["Books"]


class Books:
    """What must add up, whatever was measured."""

    def __init__(self, run: Run) -> None:
        self.lines: list[tuple[str, bool]] = []
        self.exact = run.settings.clients == 1
        told, asked = run.settings, run.asked
        of = told.trace
        right = sum(each.right for each in asked)
        self._must(f"{right:,} of {len(asked):,} answers are right", right == len(asked))
        levels = {level: sum(each.level == level for each in asked) for level in ("edge", "shield", "joined", "origin")}
        count = told.until - told.since
        self._must(f"levels sum to {sum(levels.values()):,} of {count:,} requests", sum(levels.values()) == count)
        after, calls = run.after, run.after["calls"] - run.before["calls"]
        self._must(f"the origin was called at most {after['most']} time for a key", after["most"] == 1)
        distinct, paths = len(set(of.keys[: told.until])), after["paths"]
        self._must(f"it was called for {paths:,} of {distinct:,} keys ever asked for", paths == distinct)
        self._must(f"it counts {calls:,} calls, clients {levels['origin']:,} answers of it", calls == levels["origin"])
        if self.exact:
            self._model(run, Site(of, told.items))
        if run.stats:
            made, all_calls = sum(each["origin"]["hits"] for each in run.stats), after["calls"]
            self._must(f"levels have counted {made:,} entries made, the origin {all_calls:,} calls", made == all_calls)
            away = sum(each["away"] for each in run.stats)
            self._must(f"the shield failed {away:,} times", away == 0)

    def _must(self, line: str, good: bool) -> None:
        self.lines.append((line, good))

    def _model(self, run: Run, site: Site) -> None:
        """What an edge that is asked in order must do to the last request."""
        told = run.settings
        for edge in range(told.trace.edges):
            places = [place for place in range(told.since, told.until) if told.trace.at[place] == edge]
            mine = [each for each in run.asked if each.edge == edge]
            same = sum(
                (each.level == "edge") == (site.levels[place] == EDGE) for place, each in zip(places, mine, strict=True)
            )
            self._must(
                f"edge {edge}: {same:,} of {len(mine):,} requests are hits or none as an LRU has it", same == len(mine)
            )
        made = site.shares(told.since, told.until).of(ORIGIN) * (told.until - told.since)
        calls = sum(each.level == "origin" for each in run.asked)
        self._must(f"origin: {calls:,} calls, {made:,.0f} by the model", calls == round(made))
