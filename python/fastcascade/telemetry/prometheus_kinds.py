"""Every family that Prometheus is told of: its type, and what it says. Alerts and dashboards name no others.

No label is what a client made up. `slice` is the route or the task of a request: of those there are the ones that the
lanes name and the first 50 that were seen, and all beyond are "other".
"""

from typing import Final

__all__ = ["KINDS", "Labels", "Sample"]

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]

KINDS: Final = {
    "fastcascade_build_info": ("gauge", "1, with the version."),
    "fastcascade_requests_total": ("counter", "Requests that ended, by path, status, tier and how the answer came."),
    "fastcascade_request_seconds": ("histogram", "Seconds from the head of a request to the end of its answer."),
    "fastcascade_answers_total": ("counter", "Requests that ended, by the layer that answered and what of it."),
    "fastcascade_layer_seconds": ("histogram", "Seconds a request took, by the layer that answered."),
    "fastcascade_degraded_total": ("counter", "Answers that fall short, by in what."),
    "fastcascade_regenerations_total": ("counter", "Answers asked for again, by the tier and model that now answered."),
    "fastcascade_tries_total": ("counter", "Tries of a tier, by how they ended."),
    "fastcascade_tier_seconds": ("histogram", "Seconds of a try, with its gate."),
    "fastcascade_tier_last": ("gauge", "1 for a tier above which there is none."),
    "fastcascade_escalations_total": ("counter", "Tries of a tier that were not good enough, by tier."),
    "fastcascade_failures_total": ("counter", "Tries of a tier that failed, by tier."),
    "fastcascade_calls_total": ("counter", "Calls that were made for tries of a tier: answers, samples, judges."),
    "fastcascade_calls_again_total": ("counter", "Calls among them in whose place another was made."),
    "fastcascade_cost_usd_total": ("counter", "What is known of the cost of all calls, in US dollars."),
    "fastcascade_cost_unknown_total": ("counter", "Answers whose cost is not wholly known."),
    "fastcascade_tier_cost_usd_total": ("counter", "What is known of the cost of a tier's calls, in US dollars."),
    "fastcascade_unpriced_total": ("counter", "Tries of a tier with a call whose cost is not known."),
    "fastcascade_baseline_usd_total": ("counter", "What the last tier alone would have cost, in US dollars."),
    "fastcascade_compared_usd_total": ("counter", "What these same answers did cost, in US dollars."),
    "fastcascade_compared_total": ("counter", "Answers for which both are known."),
    "fastcascade_tokens_total": ("counter", "Tokens of all calls, by kind."),
    "fastcascade_graded_total": ("counter", "Grades of answers that were drawn to be graded."),
    "fastcascade_graded_weight_total": ("counter", "How many answers they stand for: 1/propensity of each."),
    "fastcascade_graded_weight_squares_total": ("counter", "The squares of that: what a margin of error needs."),
    "fastcascade_graded_score_total": ("counter", "The scores, each times its weight."),
    "fastcascade_feedback_total": ("counter", "Grades of answers that nobody had drawn, by who says so."),
    "fastcascade_feedback_score_total": ("counter", "The scores of these."),
    "fastcascade_promised_quality": ("gauge", "The mean grade that accepted answers of a tier are to have."),
    "fastcascade_promised_escalation": ("gauge", "The share of escalations above which one is warned."),
    "fastcascade_breaker_open": ("gauge", "1 for a breaker that is open, 0.5 for one that is half open."),
    "fastcascade_instance_usable": ("gauge", "1 for an instance that could be asked now; group 0 is asked first."),
    "fastcascade_cache_hits_total": ("counter", "Requests answered from the gateway's cache."),
    "fastcascade_cache_misses_total": ("counter", "Requests that were looked for in the gateway's cache in vain."),
    "fastcascade_cache_level_hits_total": ("counter", "Answers found, by level; at the origin: made."),
    "fastcascade_cache_level_misses_total": ("counter", "Answers not found, by level; at the origin: given up."),
    "fastcascade_cache_level_seconds_total": ("counter", "Seconds spent, by level."),
    "fastcascade_cache_joined_total": ("counter", "Requests given what another was making, by where."),
    "fastcascade_cache_purges_total": ("counter", "Purges that were asked for here."),
    "fastcascade_cache_negative_total": ("counter", "Requests told from here that nothing is there, or is kept."),
    "fastcascade_cache_saved_usd_total": ("counter", "What answers that were given again had cost, in US dollars."),
    "fastcascade_cache_semantic_total": ("counter", "Requests answered by what was asked in other words."),
    "fastcascade_reviews": ("gauge", "Reviews by state. All workers that share a store see the same ones."),
    "fastcascade_review_oldest_seconds": ("gauge", "How long the oldest review has waited."),
    "fastcascade_reviews_overdue": ("gauge", "Reviews that wait past their time; of the oldest 100."),
    "fastcascade_review_sla_seconds": ("gauge", "The time in which a review is to be answered."),
    "fastcascade_review_store_up": ("gauge", "1 while the reviews can be counted."),
    "fastcascade_notices_total": ("counter", "Notices to operators, by kind."),
    "fastcascade_key_spent_usd": ("gauge", "What a key with a budget has spent in a period, in US dollars."),
    "fastcascade_key_budget_usd": ("gauge", "What it may spend (hard), or is expected to (soft)."),
    "fastcascade_dropped_total": ("counter", "Events that were dropped as they came too fast, by what for."),
    "fastcascade_upstream_up": ("gauge", "1 for an instance of a pool of routes that active checks find alive."),
    "fastcascade_upstream_breaker_open": ("gauge", "1 for an open breaker of such an instance, 0.5 for a half open."),
    "fastcascade_observed_total": ("counter", "What became of observed requests."),
    "fastcascade_observed_spent_usd_total": ("counter", "What looking at them has cost, in US dollars."),
    "fastcascade_observed_saved_usd": ("gauge", "What the cascade would have saved on them, in US dollars."),
    "fastcascade_in_flight": ("gauge", "Requests in work."),
    "fastcascade_draining": ("gauge", "1 while the worker takes leave."),
}
"""Each family, in the order of the text."""
