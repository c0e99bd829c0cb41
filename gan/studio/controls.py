"""How events of the page itself are handled."""

# Answered at once, without a place in the queue; while one is under way only the newest of the others is kept. Values
# come as the browser sent them (`preprocess=False`), the handlers check them.
LIVE = {
    "queue": False,
    "preprocess": False,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}
