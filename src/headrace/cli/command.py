"""The `headrace` command: its verbs, its parsing, how it fails and with which exit status; the verbs are in verbs."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from cyclopts import App, CycloptsError, MissingArgumentError
from rich.console import Console

from headrace import __version__
from headrace.cli.failures import (
    BROKEN_PIPE_STATUS,
    INTERRUPTED_STATUS,
    exit_status,
    failure_object,
    render_failure,
)
from headrace.cli.local import LocalVerbs
from headrace.cli.options import wants_json
from headrace.cli.session import Session
from headrace.domain.errors import ConfigInvalid, HeadraceError

VERBS = "headrace.cli.verbs"
WIDTH = 80
HELP = "One key, one OpenAI-compatible endpoint, three ways of running models."

# (path, function, help): a verb's module is imported when the verb is used, or when its own help is asked for.
COMMANDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("serve",), "installation:serve", "Start the platform."),
    (("chat",), "chat:chat", "Talk to a model in the terminal."),
    (("models",), "models:APP", "List the models that can be called; pull weights, add models."),
    (("keys", "create"), "keys:create", "Create a model access key and show it once."),
    (("keys", "list"), "keys:list_keys", "List the keys."),
    (("keys", "revoke"), "keys:revoke", "Revoke a key."),
    (("receipt",), "receipt:receipt", "Show what one request cost and who served it."),
    (("usage",), "usage:usage", "Show what was used and what it cost."),
    (("breakeven",), "breakeven:breakeven", "Compare paying by the token with paying by the GPU hour."),
    (("fit",), "fit:fit", "Say whether a model fits on an accelerator, and on how many."),
    (("simulate",), "simulate:simulate", "Play traffic against a deployment: its cost, latency, starts."),
    (("doctor",), "installation:doctor", "Check the installation and say what to do."),
    (("providers", "list"), "providers:list_providers", "List the providers, their keys, and how these do."),
    (("providers", "set-key"), "providers:set_key", "Set one of a provider's keys, read from standard input."),
    (("providers", "remove-key"), "providers:remove_key", "Delete one of a provider's stored keys."),
    (("deploy",), "deploy:deploy", "Run a model on hardware of its own, from zero replicas on."),
    (("deployments", "list"), "deployments:list_deployments", "List the deployments."),
    (("deployments", "show"), "deployments:show", "Show a deployment, its replicas and its price."),
    (("deployments", "scale"), "deployments:scale", "Change between how many replicas it scales."),
    (("deployments", "events"), "deployments:events", "Show what became of a deployment, and why."),
    (("deployments", "logs"), "deployments:logs", "Show the last lines of its replicas' logs."),
    (("deployments", "costs"), "deployment_costs:costs", "Show what a deployment cost, busy and idle."),
    (("deployments", "tokens"), "deployments:tokens", "List, make or revoke tokens that reach only it."),
    (("deployments", "delete"), "deployments:delete", "Delete a deployment; its requests end first."),
    (("aliases", "list"), "aliases:list_aliases", "List aliases and what they point to."),
    (("aliases", "set"), "aliases:set_alias", "Point an alias at a model or a router."),
    (("aliases", "delete"), "aliases:delete_alias", "Delete an alias."),
    (("routers", "list"), "routers:list_routers", "List routers with their tasks and pools."),
    (("routers", "show"), "routers:show", "Show a router."),
    (("routers", "create"), "routers:create", "Make a router: tasks, their pools, fallback models."),
    (("routers", "apply"), "routers:apply", "Make or replace a router from a TOML file."),
    (("routers", "export"), "routers:export", "Print a router as a TOML file."),
    (("routers", "delete"), "routers:delete", "Delete a router."),
    (("routers", "presets"), "routers:presets", "List the routers of the catalog."),
    (("routers", "tasks"), "routers:tasks", "List the tasks of the catalog."),
    (("routers", "calibrate"), "calibrate:calibrate", "Measure how strong models are on known answers."),
    (("routers", "evaluate"), "evaluate:evaluate_router", "Decide a labelled set and say how well."),
    (("route", "explain"), "route:explain", "Say who would serve a prompt, and why; calls nobody."),
    (("routers", "replay"), "replays:replay", "Decide logged requests anew, as it is or by a draft."),
    (("routers", "savings"), "savings:savings", "Show what a router's requests cost and saved."),
    (("routers", "shadows"), "shadows:shadows", "List answers of a reference model beside the router's."),
    (("routers", "judge"), "shadows:judge", "Have a model compare those answers."),
    (("routers", "correct"), "corrections:correct", "Say which task a request really was."),
    (("demo", "router"), "demo:demo_router", "Answer nine prompts routed and direct, side by side."),
    (("teams", "list"), "teams:list_teams", "List the teams and how they pay."),
    (("teams", "create"), "teams:create", "Make a team."),
    (("teams", "show"), "teams:show", "Show a team and its balance."),
    (("teams", "set"), "teams:set_team", "Say how a team pays: in advance or afterwards."),
    (("teams", "delete"), "teams:delete", "Forget a team of which nothing is left."),
    (("teams", "top-up"), "teams:top_up", "Book a payment to a team's prepaid balance."),
    (("teams", "adjust"), "teams:adjust", "Correct a team's prepaid balance."),
    (("teams", "transfers"), "teams:transfers", "List what was paid in and corrected."),
    (("budgets", "list"), "budgets:list_budgets", "List the budgets with what is left of each."),
    (("budgets", "create"), "budgets:create", "Make a budget: a limit on charge over a window."),
    (("budgets", "show"), "budgets:show", "Show a budget and what is left of it."),
    (("budgets", "set"), "budgets:set_budget", "Change a budget's limit or mode."),
    (("budgets", "delete"), "budgets:delete", "Delete a budget."),
    (("alerts", "create"), "alerts:create", "Make an alert: a threshold, whom to tell, what to do."),
    (("alerts", "list"), "alerts:list_alerts", "List alerts and whether they have fired."),
    (("alerts", "delete"), "alerts:delete", "Delete an alert."),
    (("alerts", "events"), "alerts:events", "List what alerts have done."),
    (("webhooks", "create"), "webhooks:create", "Make a webhook and show its secret, once."),
    (("webhooks", "list"), "webhooks:list_webhooks", "List the webhooks."),
    (("webhooks", "delete"), "webhooks:delete", "Delete a webhook."),
    (("webhooks", "test"), "webhooks:test", "Send a webhook a signed message."),
    (("limits", "list"), "limits:list_limits", "List scopes with rate limits."),
    (("limits", "set"), "limits:set_limits", "Set the rate limits of a key, team, model or the platform."),
    (("limits", "remove"), "limits:remove_limits", "Lift the rate limits of a scope."),
    (("prices", "show"), "prices:show_prices", "Show every dated price of a model."),
    (("prices", "diff"), "prices:diff_prices", "Show what a list of prices would change; changes nothing."),
    (("prices", "import"), "prices:import_prices", "Write a list of prices as proposals to review."),
    (("prices", "apply"), "prices:apply_prices", "Take over a reviewed proposal."),
    (("init",), "installation:init", "Make the home and its credentials."),
    (("catalog", "check"), "installation:check_catalog", "Check catalog files: file, line and fix."),
    (("reconcile",), "reconcile:reconcile", "Compare a provider's usage or invoice with the books."),
    (("reconciliations",), "reconcile:reconciliations", "List the comparisons that were made, or show one."),
    (("audit",), "audit:audit", "Derive every balance, hold, sum and receipt anew from the ledger."),
    (("backup",), "installation:backup", "Copy the store to one file."),
    (("restore",), "installation:restore", "Put a backup in the place of the store."),
    (("migrate",), "migrate:migrate", "Move the books into PostgreSQL."),
    (("config", "reload"), "server:reload", "Make the server read its configuration anew."),
    (("version",), "server:version", "Show versions of command and server."),
)
GROUPS: tuple[tuple[str, str], ...] = (
    ("keys", "Model access keys: create, list, revoke."),
    ("providers", "Outside services and their keys."),
    ("deployments", "Deployments: list, show, scale, events, logs, costs, tokens, delete."),
    ("aliases", "Names that point elsewhere: list, set, delete."),
    ("routers", "Routers: made, listed, changed; evaluated, replayed, corrected, judged."),
    ("route", "Routing of a single prompt: explain."),
    ("demo", "Demonstrations on this server: router."),
    ("teams", "Teams and prepaid balances: create, list, top-up."),
    ("budgets", "Limits on charge: create, list, show, set, delete."),
    ("alerts", "Alerts: create, list, delete, events."),
    ("webhooks", "Receivers of events: create, list, delete, test."),
    ("limits", "Rate limits: list, set, remove."),
    ("prices", "Prices: show, diff, import, apply."),
    ("catalog", "Catalog files."),
    ("config", "The running server's configuration."),
)
# What to type where something was left out; a scope or an amount is not guessed from help alone.
EXAMPLES: Mapping[tuple[str, ...], str] = {
    ("deploy",): "headrace deploy smollm2-135m --accelerator cpu --scale 0:2",
    ("deployments", "scale"): "headrace deployments scale NAME 0:4",
    ("budgets", "create"): "headrace budgets create team:default --usd 100 --window month",
    ("limits", "set"): "headrace limits set team:default --requests-per-minute 60",
    ("teams", "set"): "headrace teams set shop --prepaid",
    ("teams", "top-up"): "headrace teams top-up shop --usd 100",
}


def run(argv: Sequence[str], local: LocalVerbs, session: Session | None = None) -> int:
    """Run one command line and return its exit status; `session` stands in for the process in tests."""
    running = session if session is not None else _process_session(local)
    try:
        return _run(tuple(argv), running)
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    except BrokenPipeError:
        _forget_stdout(running)
        return BROKEN_PIPE_STATUS


def build(session: Session, argv: Sequence[str] = ()) -> App:
    """Return the parser with every verb; no verb is imported by this. The one that `argv` names tells its own help."""
    app = App(
        "headrace",
        help=HELP,
        version=__version__,
        console=_console(session, error=False),
        error_console=_console(session, error=True),
        help_format="plaintext",
    )
    groups: dict[str, App] = {}
    for name, text in GROUPS:
        groups[name] = App(name, help=text)
        app.command(groups[name])
    for path, function, text in COMMANDS:
        owner = app if len(path) == 1 else groups[path[0]]
        is_asked = tuple(argv[: len(path)]) == path
        owner.command(f"{VERBS}.{function}", name=path[-1], help=None if is_asked else text)
    return app


def _process_session(local: LocalVerbs) -> Session:
    """A terminal that cannot show a character gets a question mark, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return Session(local)


def _run(argv: tuple[str, ...], session: Session) -> int:
    try:
        return _dispatch(argv, session)
    except HeadraceError as error:
        if _asked_for_json(argv, session):
            session.say_json(failure_object(error))
        else:
            session.note(render_failure(error))
        return exit_status(error)


def _dispatch(argv: tuple[str, ...], session: Session) -> int:
    app = build(session, argv)
    try:
        verb, bound, ignored = app.parse_args(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise _usage(error, argv) from error
    given = {"session": session} if "session" in ignored else {}
    done = cast("Callable[..., int | None]", verb)(*bound.args, **bound.kwargs, **given)
    return done if isinstance(done, int) else 0


def _usage(error: CycloptsError, argv: tuple[str, ...]) -> ConfigInvalid:
    known = tuple(word for word in argv if not word.startswith("-"))
    while known and not any(path[: len(known)] == known for path, _, _ in COMMANDS):
        known = known[:-1]
    known = max(known, tuple(error.command_chain or ()), key=len)
    what = _missing(error) or " ".join(str(error).split())
    if not known:
        what = what.partition(" Available commands:")[0]
    lines = [what if what.endswith((".", "?")) else f"{what}."]
    if known in EXAMPLES and isinstance(error, MissingArgumentError):
        lines.append(f"For example: {EXAMPLES[known]}")
    lines.append(f"See: {' '.join(['headrace', *known, '--help'])}")
    return ConfigInvalid("\n".join(lines), code="usage")


def _missing(error: CycloptsError) -> str:
    """What to say of an argument that was left out, not of a flag without its value or one that is written wrong."""
    argument = error.argument
    if not isinstance(error, MissingArgumentError) or argument is None or argument.tokens or error.keyword is not None:
        return ""
    is_misspelt = "Did you mean" in str(error)
    return "" if is_misspelt else f"{' '.join(error.command_chain or ())} needs {argument.name}."


def _asked_for_json(argv: tuple[str, ...], session: Session) -> bool:
    with contextlib.suppress(ConfigInvalid):
        return wants_json("--json" in argv or None, session.environment)
    return False


def _console(session: Session, *, error: bool) -> Console:
    stream = session.stderr if error else session.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDTH)


def _forget_stdout(session: Session) -> None:
    """The reader is gone: nothing may be flushed into its pipe when the process ends."""
    if session.stdout is sys.stdout:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
