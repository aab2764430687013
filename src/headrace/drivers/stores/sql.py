"""SQL of the ledger's hot statements, made from statements.py by `make generate`.

The comment above each text lists its parameters in order.
"""

# request_id, operation, account, key_id, key_name, requested_model, stream, route,
# received_at_micros, tags, excluded
ADD_REQUEST = (
    "INSERT INTO request (request_id, operation, account, key_id, key_name, requested_model, stream, route, "
    "received_at_micros, tags, excluded) VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?, nullif(?, ''), nullif(?, '')) "
    "ON CONFLICT (request_id) DO NOTHING"
)

# price_version, provider, model_id, effective, source, rates_pico, markup_ppm, variants
ADD_PRICE = (
    "INSERT INTO price_version (price_version, provider, model_id, effective, source, rates_pico, markup_ppm, variants)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, '')) ON CONFLICT (price_version) DO NOTHING"
)

# scope, limit_nano, held_nano, spent_nano
ADD_SCOPE = (
    "INSERT INTO scope (scope, limit_nano, held_nano, spent_nano) VALUES (?, nullif(?, -1), ?, ?) ON CONFLICT (scope) "
    "DO NOTHING"
)

# request_id, router, received_at_micros, body, features
ADD_DECISION = (
    "INSERT INTO decision (request_id, router, received_at_micros, body, features) VALUES (?, ?, ?, ?, ?) ON CONFLICT "
    "(request_id) DO NOTHING"
)

# attempt_id, error_code, request_status, at_micros
ADD_WAIVER = (
    "INSERT INTO waiver (attempt_id, error_code, request_status, at_micros) VALUES (?, ?, ?, ?) ON CONFLICT "
    "(attempt_id) DO NOTHING"
)

# attempt_id, request_id, turn_index, attempt_index, parent_attempt_id, epoch, model_id, provider,
# deployment, identity, price_version, bound_input_tokens, bound_output_tokens, bound_nano,
# input_estimate, scopes, held_at_micros
ADD_ATTEMPT = (
    "INSERT INTO attempt (attempt_id, request_id, turn_index, attempt_index, parent_attempt_id, epoch, model_id, "
    "provider, deployment, identity, price_version, bound_input_tokens, bound_output_tokens, bound_nano, "
    "input_estimate, scopes, held_at_micros) VALUES (?, ?, ?, ?, nullif(?, ''), ?, ?, ?, nullif(?, ''), ?, ?, ?, ?, ?, "
    "?, ?, ?)"
)

# attempt_id
ADD_HOLD = "INSERT INTO hold (attempt_id) VALUES (?)"

# attempt_id, outcome, epoch, at_micros, sent_at_micros, first_event_at_micros, ended_at_micros,
# input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text,
# output_reasoning, usage_source, usage_anomaly, delivered_bytes, ending, error_code,
# upstream_status, upstream_request_id, request_status, possible_spend, reconcile, usage_more,
# share_micros, share_nano
ADD_RESOLUTION = (
    "INSERT INTO resolution (attempt_id, outcome, epoch, at_micros, sent_at_micros, first_event_at_micros, "
    "ended_at_micros, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, "
    "output_reasoning, usage_source, usage_anomaly, delivered_bytes, ending, error_code, upstream_status, "
    "upstream_request_id, request_status, possible_spend, reconcile, usage_more, share_micros, share_nano) VALUES (?, "
    "?, ?, ?, nullif(?, -1), nullif(?, -1), ?, nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, "
    "-1), nullif(?, -1), nullif(?, ''), nullif(?, ''), ?, nullif(?, ''), nullif(?, ''), nullif(?, -1), nullif(?, ''), "
    "nullif(?, -1), ?, nullif(?, ''), nullif(?, ''), nullif(?, -1), nullif(?, -1))"
)

# attempt_id, line, line_kind, quantity, price_pico, cost_nano, charge_nano
ADD_LINE = (
    "INSERT INTO settled_line (attempt_id, line, line_kind, quantity, price_pico, cost_nano, charge_nano) VALUES (?, ?,"
    " ?, ?, ?, ?, ?)"
)

# pid, version, started_at_micros
ADD_EPOCH = "INSERT INTO epoch (pid, version, started_at_micros) VALUES (?, ?, ?) RETURNING epoch"

# scope, limit_nano, held_nano, spent_nano
SET_LIMIT = (
    "INSERT INTO scope (scope, limit_nano, held_nano, spent_nano) VALUES (?, nullif(?, -1), ?, ?) ON CONFLICT (scope) "
    "DO UPDATE SET limit_nano = excluded.limit_nano"
)

# sent_at_micros, of_attempt
MARK_SENT = "UPDATE hold SET sent_at_micros=? WHERE hold.attempt_id = ? AND hold.sent_at_micros IS NULL"

# tokens, bytes, at, of_attempt
CHECKPOINT = (
    "UPDATE hold SET checkpoint_output_tokens=?, checkpoint_bytes=?, checkpoint_at_micros=? WHERE hold.attempt_id = ?"
)

# of_attempt
CLOSE_HOLDS = (
    "DELETE FROM hold WHERE hold.attempt_id IN (?) RETURNING attempt_id, coalesce(sent_at_micros, -1) AS coalesce_1"
)

# attempt, at
MARK_ALL_SENT = (
    "WITH step(attempt, at) AS (VALUES (?, ?)) UPDATE hold SET sent_at_micros=step.at FROM step WHERE hold.attempt_id ="
    " step.attempt AND hold.sent_at_micros IS NULL RETURNING attempt_id"
)

# tokens, bytes, at, attempt_id
CHECKPOINT_ALL = (
    "WITH step(tokens, bytes, at, attempt_id) AS (VALUES (?, ?, ?, ?)) UPDATE hold SET "
    "checkpoint_output_tokens=step.tokens, checkpoint_bytes=step.bytes, checkpoint_at_micros=step.at FROM step WHERE "
    "hold.attempt_id = step.attempt_id"
)

# scope, held, spent
MOVE_ALL = (
    "WITH move(scope, held, spent) AS (VALUES (?, ?, ?)) UPDATE scope SET held_nano=(scope.held_nano + move.held), "
    "spent_nano=(scope.spent_nano + move.spent) FROM move WHERE scope.scope = move.scope"
)

# hour_start_micros, account, key_id, model_id, provider, deployment, route, status, attempts,
# requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text,
# output_reasoning, cost_nano, charge_nano, duration_micros, first_event_micros, first_events
ADD_USAGE = (
    "INSERT INTO usage_hour (hour_start_micros, account, key_id, model_id, provider, deployment, route, status, "
    "attempts, requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, "
    "output_reasoning, cost_nano, charge_nano, duration_micros, first_event_micros, first_events) VALUES (?, ?, ?, ?, "
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hour_start_micros, account, key_id, model_id, "
    "provider, deployment, route, status) DO UPDATE SET attempts = (usage_hour.attempts + excluded.attempts), requests "
    "= (usage_hour.requests + excluded.requests), input_fresh = (usage_hour.input_fresh + excluded.input_fresh), "
    "input_cache_read = (usage_hour.input_cache_read + excluded.input_cache_read), input_cache_write_5m = "
    "(usage_hour.input_cache_write_5m + excluded.input_cache_write_5m), input_cache_write_1h = "
    "(usage_hour.input_cache_write_1h + excluded.input_cache_write_1h), output_text = (usage_hour.output_text + "
    "excluded.output_text), output_reasoning = (usage_hour.output_reasoning + excluded.output_reasoning), cost_nano = "
    "(usage_hour.cost_nano + excluded.cost_nano), charge_nano = (usage_hour.charge_nano + excluded.charge_nano), "
    "duration_micros = (usage_hour.duration_micros + excluded.duration_micros), first_event_micros = "
    "(usage_hour.first_event_micros + excluded.first_event_micros), first_events = (usage_hour.first_events + "
    "excluded.first_events)"
)

# hour_start_micros, tag, account, key_id, model_id, provider, deployment, route, status, attempts,
# requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text,
# output_reasoning, cost_nano, charge_nano, duration_micros, first_event_micros, first_events
ADD_TAG_USAGE = (
    "INSERT INTO tag_hour (hour_start_micros, tag, account, key_id, model_id, provider, deployment, route, status, "
    "attempts, requests, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, "
    "output_reasoning, cost_nano, charge_nano, duration_micros, first_event_micros, first_events) VALUES (?, ?, ?, ?, "
    "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hour_start_micros, tag, account, key_id, "
    "model_id, provider, deployment, route, status) DO UPDATE SET attempts = (tag_hour.attempts + excluded.attempts), "
    "requests = (tag_hour.requests + excluded.requests), input_fresh = (tag_hour.input_fresh + excluded.input_fresh), "
    "input_cache_read = (tag_hour.input_cache_read + excluded.input_cache_read), input_cache_write_5m = "
    "(tag_hour.input_cache_write_5m + excluded.input_cache_write_5m), input_cache_write_1h = "
    "(tag_hour.input_cache_write_1h + excluded.input_cache_write_1h), output_text = (tag_hour.output_text + "
    "excluded.output_text), output_reasoning = (tag_hour.output_reasoning + excluded.output_reasoning), cost_nano = "
    "(tag_hour.cost_nano + excluded.cost_nano), charge_nano = (tag_hour.charge_nano + excluded.charge_nano), "
    "duration_micros = (tag_hour.duration_micros + excluded.duration_micros), first_event_micros = "
    "(tag_hour.first_event_micros + excluded.first_event_micros), first_events = (tag_hour.first_events + "
    "excluded.first_events)"
)

# of_scope
READ_BALANCE = "SELECT scope.limit_nano, scope.held_nano, scope.spent_nano FROM scope WHERE scope.scope = ?"
