"""Where the user's code stands in this process."""

from __future__ import annotations

import sys

from bench.explore.runtime import registry


def stack() -> str:
    """Return the traceback of the calling thread, as far as the code is the user's; empty if none of it is."""
    import traceback

    from bench.process.instrument import is_users

    found = list(traceback.walk_stack(sys._getframe()))
    own = next((index for index, (frame, _) in enumerate(found) if frame.f_code in registry.outermost), len(found))
    summary = traceback.StackSummary.extract(iter(found[:own]))
    frames = [f for f in reversed(summary) if is_users(f.filename)]
    return "".join(traceback.format_list(frames)).rstrip()
