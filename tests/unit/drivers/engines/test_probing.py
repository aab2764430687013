"""Figures out of an engine's metrics."""

from headrace.drivers.engines.probing import figures_of

METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } b"} 8.0
vllm:num_requests_running{engine="1",model_name="a"} 2.0 1395066363000
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
plain 3
broken
odd x
vllm:num_requests_running_total 99
"""


def test_figures_are_added_over_labels_and_the_fullest_cache_counts() -> None:
    wanted = {"running": "vllm:num_requests_running", "cache_use": "vllm:kv_cache_usage_perc", "waiting": "plain"}
    assert figures_of(METRICS, wanted) == {"running": 10.0, "cache_use": 0.75, "waiting": 3.0}


def test_what_is_not_there_or_is_no_number_is_left_out() -> None:
    assert figures_of(METRICS, {"running": "nothing", "waiting": "broken", "output_tokens": "odd"}) == {}
    assert figures_of("", {"running": "x"}) == {}
    assert figures_of("one 1\n", {"running": "one", "waiting": "one"}) == {"running": 1.0, "waiting": 1.0}
