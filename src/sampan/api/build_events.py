"""The events of a build as lines of JSON of our own (`progress=events`): each with its stage, as it happens.

Beyond Docker's API, whose stream tells stages one after the other. `sampan build` shows stages side by side with it.
"""

from __future__ import annotations

from typing import Any

from sampan.api.transfers import pull_line
from sampan.build import progress
from sampan.engine.transfers import PullBegins
from sampan.image.pull import Pulled
from sampan.image.pull_layer import LayerProgress


def event_lines(told: progress.OfStage) -> list[dict[str, Any]]:
    """The lines of one event: `{"build": {"stage": 0, "name": "…", "kind": "…", …}}`, or a transfer's own.

    A warning is of no stage.
    """
    match told.event:
        case progress.Pulling(transfer):
            return pull_line(transfer) if isinstance(transfer, PullBegins | LayerProgress | Pulled) else []
        case progress.Fetching(url, done, total):
            detail = {"current": done, "total": total}
            return [{"id": url, "status": "Downloading", "progressDetail": detail}]
        case progress.Warned(rule, description, message, _, line, end_line):
            about = {"rule": rule, "description": description, "text": message, "line": line, "endLine": end_line}
            return [{"build": {"kind": "warning", **about}}]
    found = _event(told.event)
    return [{"build": {"stage": told.number, "name": told.name, **found}}] if found else []


def _event(event: progress.Event) -> dict[str, Any]:
    match event:
        case progress.StepBegins(number, total, text):
            return {"kind": "step", "number": number, "total": total, "text": text}
        case progress.UsesCache():
            return {"kind": "cached"}
        case progress.Running(container_id):
            return {"kind": "running", "container": container_id}
        case progress.Output(content, is_error):
            return {"kind": "output", "text": content.decode("utf-8", "replace"), "error": is_error}
        case progress.Triggers(count):
            return {"kind": "triggers", "count": count}
        case progress.Note(text):
            return {"kind": "note", "text": text}
        case progress.StepEnds(image_id):
            return {"kind": "step-end", "image": image_id}
        case progress.StepFails():
            return {"kind": "failed"}
        case progress.StageEnds(image_id):
            return {"kind": "stage-end", "image": image_id}
    return {}
