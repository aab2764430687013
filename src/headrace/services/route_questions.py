"""Questions about routing: who would serve a request, by a router that there is or by a draft; nothing is called."""

from __future__ import annotations

from headrace.domain.call import Call
from headrace.domain.errors import CallerError, Forbidden, InvalidRequest
from headrace.domain.router_draft import RouterDraft
from headrace.domain.routing import Decision
from headrace.domain.snapshot import Snapshot
from headrace.services.planning import Planner, check_preference
from headrace.services.resolve import routers_named
from headrace.services.router_rules import check_content, router_of
from headrace.services.router_tasks import task_set

FIELD = "router"
# Every description and example of a draft is read anew, at the cost of whoever waits behind it.
MOST_TEXTS_OF_A_KEY = 100


class RouteQuestions:
    """Answers what a router would decide; sessions are looked up and left as they are."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner

    async def answer(self, call: Call, draft: RouterDraft | None, snapshot: Snapshot) -> Decision:
        """Return what the router that the call names would decide for it, or the draft.

        Raises InvalidRequest for what is no router and for a draft that could not be one, NotFound naming the closest.
        """
        if draft is not None:
            _check_draft(call, draft, snapshot)
            router = router_of(draft, "", 0, 0)
            routed = await self._planner.draft(router, task_set(router, snapshot.presets), call, snapshot)
            return routed.routing.decision
        names = routers_named(call, snapshot)
        check_preference(call, names)
        if not names:
            raise InvalidRequest(
                f'"{call.envelope.model}" is no router, so there is nothing to decide. Name one, like'
                f' "router:NAME", as the model, or send a draft as "{FIELD}".',
                param="model",
            )
        return (await self._planner.route(names[0], call, snapshot)).routing.decision


def _check_draft(call: Call, draft: RouterDraft, snapshot: Snapshot) -> None:
    if call.routing_preference is not None:
        check_preference(call, ())
    try:
        check_content(draft, snapshot)
    except CallerError as error:
        error.param = FIELD if error.param is None else f"{FIELD}.{error.param}"
        raise
    texts = sum(
        1 + len(each.examples) + len(each.custom_task.examples if each.custom_task else ()) for each in draft.policies
    )
    if texts > MOST_TEXTS_OF_A_KEY and not call.caller.is_admin:
        raise Forbidden(
            f"The draft has {texts} descriptions and examples; with a key it may have {MOST_TEXTS_OF_A_KEY}. Ask with"
            " the admin token, or save the router.",
            code="draft_too_large",
            param=FIELD,
        )
