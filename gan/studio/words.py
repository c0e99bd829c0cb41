"""Every word that visitors see, in English and in German; the browser's language chooses.

Components take `word("key")`; templates of the page `${word('key')}`, scripts `word('key', {n: 3})` (see page.js).
Words must not hold double quotes: they stand in attributes too.
"""

import gradio as gr

from gan.studio.words_refusals import REFUSALS
from gan.studio.words_tabs import TAB_WORDS


WORDS = {
    # the page
    "tagline": (
        "Covers of records that were never made. Every number is one of them.",
        "Hüllen von Platten, die es nie gab. Jede Zahl ist eine davon.",
    ),
    "generator": ("Generator:", "Generator:"),
    "pixels": ("pixels", "Pixel"),
    "parameters": ("million parameters", "Millionen Parameter"),
    "what-a-gan-is": (
        "A GAN is two networks in a contest: one draws covers out of random numbers, the other learns to tell them "
        "from real ones. When the contest is over only the first is needed, and a seed is where its random numbers "
        "begin.",
        "Ein GAN sind zwei Netze im Wettstreit: das eine zeichnet Hüllen aus Zufallszahlen, das andere lernt, sie von "
        "echten zu unterscheiden. Danach braucht man nur noch das erste, und mit einem Seed beginnen seine "
        "Zufallszahlen.",
    ),
    "no-answer": ("No answer from the server; trying again.", "Der Server antwortet nicht; neuer Versuch."),
    # one cover
    "seed-n": ("Seed {seed}", "Seed {seed}"),
    "between": ("A cover between seeds", "Eine Hülle zwischen Seeds"),
    "truncation-n": ("truncation {n}", "Truncation {n}"),
    "cover-of": ("Album cover: {name}", "Plattenhülle: {name}"),
    "keep": ("Keep", "Behalten"),
    "download": ("Download PNG", "PNG laden"),
    "link": ("Link to this cover", "Link zu dieser Hülle"),
    "link-copied": ("The link is copied.", "Der Link ist kopiert."),
    "link-above": ("The link is in the address bar.", "Der Link steht in der Adresszeile."),
    "send-to": ("Take it to", "Damit weiter zu"),
    "send-breed": ("Breed", "Züchten"),
    "send-walk": ("Walk", "Film"),
    "send-finish": ("Finish", "Fertigstellen"),
    # the crate
    "crate": ("Crate", "Kiste"),
    "plane": ("Crate of covers", "Kiste voller Hüllen"),
    "plane-help": (
        "Arrow keys go to the next cover, with Shift in small steps; plus and minus zoom.",
        "Pfeiltasten gehen zur nächsten Hülle, mit Umschalt in kleinen Schritten; Plus und Minus zoomen.",
    ),
    "seed": ("Seed", "Seed"),
    "seed-limits": (
        "A seed is a whole number from 0 to 4294967295.",
        "Ein Seed ist eine ganze Zahl von 0 bis 4294967295.",
    ),
    "dice": ("Surprise me", "Überrasch mich"),
    "snap": ("Snap", "Einrasten"),
    "snap-help": ("Come to rest on a seed, not between", "Auf einem Seed zur Ruhe kommen, nicht dazwischen"),
    "drift": ("Drift", "Treiben"),
    "drift-help": ("Move along by itself", "Sich von selbst bewegen"),
    "zoom-in": ("Zoom in", "Näher heran"),
    "zoom-out": ("Zoom out", "Weiter weg"),
    "truncation": ("Truncation: how daring", "Truncation: wie gewagt"),
    "truncation-help": (
        "1 is as it learned; lower is safer and more alike, higher is wilder",
        "1 ist wie gelernt; kleiner ist sicherer und ähnlicher, größer wilder",
    ),
    "genre": ("Genre", "Genre"),
    "any-genre": ("any", "alle"),
    # the shelf
    "shelf": ("Your shelf", "Dein Regal"),
    "shelf-hint": (
        "Keep a cover and it stays here, in this browser alone. Drop a PNG made here on the page to open it again.",
        "Behaltene Hüllen bleiben hier, nur in diesem Browser. Ein PNG von hier, auf die Seite gezogen, öffnet sich "
        "wieder.",
    ),
    "shelf-full": ("The shelf is full: take a cover away first.", "Das Regal ist voll: nimm erst eine Hülle heraus."),
    "open-cover": ("Open {name}", "{name} öffnen"),
    "foreign": ("Another generator drew this cover", "Ein anderer Generator hat diese Hülle gezeichnet"),
    "link-to": ("Link: {name}", "Link: {name}"),
    "move-back": ("Move left: {name}", "Nach links: {name}"),
    "move-on": ("Move right: {name}", "Nach rechts: {name}"),
    "remove": ("Take away: {name}", "Herausnehmen: {name}"),
    # the walk
    "walk": ("Walk", "Film"),
    "film": ("Film from cover to cover", "Film von Hülle zu Hülle"),
    "round": ("round path (slerp)", "runder Weg (slerp)"),
    "straight": ("straight lines (lerp)", "gerade Linien (lerp)"),
    "pause": ("Pause", "Anhalten"),
    "play": ("Play", "Abspielen"),
    "scrub": ("Where in the film", "Stelle im Film"),
    "frame-n": ("Frame {n}", "Bild {n}"),
    "film-details": ("Frame {n} of {of}, {length} seconds", "Bild {n} von {of}, {length} Sekunden"),
    "save-webp": ("Download WebP", "WebP laden"),
    "save-mp4": ("Download MP4", "MP4 laden"),
    "keep-frame": ("Keep this frame", "Dieses Bild behalten"),
    "way-of-shelf": (
        "Through the {n} covers of your shelf, in its order, and back to the first.",
        "Durch die {n} Hüllen deines Regals, in ihrer Reihenfolge, und zurück zur ersten.",
    ),
    "way-of-seeds": (
        "From one seed to another and back. Keep two covers or more and the film goes through your shelf.",
        "Von einem Seed zum anderen und zurück. Behalte zwei Hüllen oder mehr, und der Film geht durch dein Regal.",
    ),
    "from-seed": ("From seed", "Von Seed"),
    "to-seed": ("To seed", "Zu Seed"),
    "length": ("Length", "Länge"),
    "speed": ("Speed", "Tempo"),
    "n-frames": ("{n} frames", "{n} Bilder"),
    "n-a-second": ("{n} a second", "{n} je Sekunde"),
    "training": ("Training", "Training"),
    "training-help": (
        "How the cover in your crate came about: {n} snapshots of the training draw it from the same latents.",
        "Wie die Hülle in deiner Kiste entstand: {n} Zwischenstände des Trainings zeichnen sie aus denselben Latents.",
    ),
    "training-draw": ("Show this cover's training", "Das Training dieser Hülle zeigen"),
    "training-loading": ("Loading snapshot {n} of {of} …", "Zwischenstand {n} von {of} wird geladen …"),
    "training-at": ("{name}, after {n} covers of training", "{name}, nach {n} Hüllen Training"),
    "snapshot": ("Which snapshot", "Welcher Zwischenstand"),
    "compare": ("Compare with straight lines", "Mit geraden Linien vergleichen"),
    "compare-help": (
        "Good covers lie on a sphere. The round path stays on it; a straight line cuts through, where the generator "
        "never trained, and covers turn pale on the way.",
        "Gute Hüllen liegen auf einer Kugel. Der runde Weg bleibt auf ihr; eine gerade Linie geht hindurch, wo der "
        "Generator nie geübt hat, und Hüllen werden unterwegs blass.",
    ),
} | TAB_WORDS

I18N = gr.I18n(
    en={key: english for key, (english, _) in WORDS.items()},
    de={key: german for key, (_, german) in WORDS.items()} | {f"refused: {key}": REFUSALS[key] for key in REFUSALS},
)


def word(key: str) -> str:
    """The words of `key` for a component's label, in the visitor's language. Raises KeyError: there is no such key."""
    WORDS[key]
    return I18N(key)
