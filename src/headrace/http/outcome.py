"""The one broad guard of the HTTP edge: whatever ends the work of a request becomes an error to answer with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from headrace.domain.errors import HeadraceError, ShuttingDown
from headrace.http.edge import CallerLeft
from headrace.http.sink import AsgiSink
from headrace.wire.errors import as_headrace_error


async def failure_of(work: Awaitable[None], sink: AsgiSink) -> HeadraceError | None:
    """Do the work and return what it failed with, or None; a caller who has left is owed no answer.

    A cancellation ends here too: it comes from the caller's leaving or from the server's end, and both are answered.
    """
    try:
        await work
    except CallerLeft:
        sink.gone = True
    except asyncio.CancelledError:
        return None if sink.gone else ShuttingDown("The server is stopping; send the request again.")
    except HeadraceError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the ASGI edge: whatever broke, the caller gets a reply
        return as_headrace_error(error)
    return None
