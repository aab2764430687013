"""SQL of the ledger's hot statements, made from statements.py by `make generate`.

The comment above each text lists its parameters in order.
"""

# request_id, operation, account, key_id, key_name, requested_model, stream, route,
# received_at_micros
ADD_REQUEST = (
    "INSERT INTO request (request_id, operation, account, key_id, key_name, requested_model, stream, route, "
    "received_at_micros) VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''), ?) ON CONFLICT (request_id) DO NOTHING"
)

# request_id, turn_index, started_at_micros
ADD_TURN = (
    "INSERT INTO turn (request_id, turn_index, started_at_micros) VALUES (?, ?, ?) ON CONFLICT (request_id, turn_index)"
    " DO NOTHING"
)

# price_version, provider, model_id, effective, source, rates_pico, markup_ppm
ADD_PRICE = (
    "INSERT INTO price_version (price_version, provider, model_id, effective, source, rates_pico, markup_ppm) VALUES "
    "(?, ?, ?, ?, ?, ?, ?) ON CONFLICT (price_version) DO NOTHING"
)

# scope, limit_nano, held_nano, spent_nano
ADD_SCOPE = (
    "INSERT INTO scope (scope, limit_nano, held_nano, spent_nano) VALUES (?, nullif(?, -1), ?, ?) ON CONFLICT (scope) "
    "DO NOTHING"
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

# attempt_id, epoch, account, provider, scopes, amount_nano
ADD_HOLD = "INSERT INTO hold (attempt_id, epoch, account, provider, scopes, amount_nano) VALUES (?, ?, ?, ?, ?, ?)"

# attempt_id, outcome, epoch, at_micros, sent_at_micros, first_event_at_micros, ended_at_micros,
# input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text,
# output_reasoning, usage_source, usage_anomaly, delivered_bytes, ending, error_code,
# upstream_status, upstream_request_id, request_status, possible_spend, reconcile
ADD_RESOLUTION = (
    "INSERT INTO resolution (attempt_id, outcome, epoch, at_micros, sent_at_micros, first_event_at_micros, "
    "ended_at_micros, input_fresh, input_cache_read, input_cache_write_5m, input_cache_write_1h, output_text, "
    "output_reasoning, usage_source, usage_anomaly, delivered_bytes, ending, error_code, upstream_status, "
    "upstream_request_id, request_status, possible_spend, reconcile) VALUES (?, ?, ?, ?, nullif(?, -1), nullif(?, -1), "
    "?, nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, -1), nullif(?, ''), "
    "nullif(?, ''), ?, nullif(?, ''), nullif(?, ''), nullif(?, -1), nullif(?, ''), nullif(?, -1), ?, nullif(?, ''))"
)

# attempt_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, at_micros
ADD_ENTRY = (
    "INSERT INTO ledger_entry (attempt_id, line, kind, line_kind, debit, credit, quantity, price_pico, amount_nano, "
    "at_micros) VALUES (nullif(?, ''), ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

# pid, version, started_at_micros
ADD_EPOCH = "INSERT INTO epoch (pid, version, started_at_micros) VALUES (?, ?, ?)"

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
    "DELETE FROM hold WHERE hold.attempt_id IN (?) RETURNING attempt_id, provider, account, amount_nano, scopes, "
    "coalesce(sent_at_micros, -1) AS coalesce_1"
)

# attempt_id, at
MARK_ALL_SENT = (
    "WITH step(attempt_id, at) AS (VALUES (?, ?)) UPDATE hold SET sent_at_micros=step.at FROM step WHERE "
    "hold.attempt_id = step.attempt_id AND hold.sent_at_micros IS NULL RETURNING attempt_id"
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

# amount, of_scope, amount
TAKE = (
    "UPDATE scope SET held_nano=(scope.held_nano + ?) WHERE scope.scope = ? AND (scope.limit_nano IS NULL OR "
    "scope.held_nano + scope.spent_nano + ? <= scope.limit_nano)"
)

# released, charged, of_scope
RELEASE = "UPDATE scope SET held_nano=(scope.held_nano - ?), spent_nano=(scope.spent_nano + ?) WHERE scope.scope = ?"

# of_scope
READ_BALANCE = "SELECT scope.limit_nano, scope.held_nano, scope.spent_nano FROM scope WHERE scope.scope = ?"
