"""Every word that visitors see, one JSON file a language; the browser's language chooses.

Components take `word("key")`, templates `${word('key')}`, scripts `word('key', {n: 3})` (shell/page.js). A sentence of
`Refused` (checks.py) is its own English; another language has it under `refused: ` and that sentence.
"""

import json
from pathlib import Path

import gradio as gr
from gradio.i18n import I18nData


LANGUAGES: dict[str, dict[str, str]] = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(Path(__file__).parent.glob("*.json"))
}
# what Gradio itself says at the page's foot, where it has no word of that language for it
OF_GRADIO = {"de": {"errors.use_via_api_or_mcp": "Über API oder MCP verwenden"}}
I18N = gr.I18n(**{name: words | OF_GRADIO.get(name, {}) for name, words in LANGUAGES.items()})


def word(key: str) -> I18nData:
    """Return the words of `key` for a component's label. Raises KeyError where English has no such key."""
    LANGUAGES["en"][key]
    return I18N(key)
