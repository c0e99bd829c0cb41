"""The words of the tabs Breed, Finish and Yours: key to (English, German)."""

TAB_WORDS = {
    # breed
    "breed": ("Breed", "Züchten"),
    "children": ("Children of this cover: choose one", "Kinder dieser Hülle: wähle eins"),
    "child-n": ("child {n}", "Kind {n}"),
    "choose-child": ("Go on with this one", "Mit diesem weitermachen"),
    "different": ("How different", "Wie verschieden"),
    "other-children": ("Other children", "Andere Kinder"),
    "undo": ("Undo", "Zurück"),
    "generation-n": ("Generation {n}", "Generation {n}"),
    "cross-with": ("Cross with a cover of your shelf", "Mit einer Hülle aus deinem Regal kreuzen"),
    "no-mates": (
        "Keep a cover, here or in the crate, and you can cross this one with it.",
        "Behalte eine Hülle, hier oder in der Kiste, und du kannst diese mit ihr kreuzen.",
    ),
    "faders": ("Faders", "Regler"),
    "faders-help": (
        "What moves the picture most, found in the network's own first layer. The pictures show the ends.",
        "Was das Bild am meisten bewegt, gefunden in der ersten Schicht des Netzes. Die Bilder zeigen die Enden.",
    ),
    "fader-n": ("Fader {n}", "Regler {n}"),
    "fader-left": ("all the way left", "ganz nach links"),
    "fader-right": ("all the way right", "ganz nach rechts"),
    "fader-middle": ("Back to the middle", "Zurück zur Mitte"),
    "family": ("Family, back to the seeds", "Familie, bis zu den Seeds"),
    # finish
    "finish": ("Finish", "Fertigstellen"),
    "artist": ("Artist", "Interpret"),
    "title": ("Title", "Titel"),
    "layout": ("Layout", "Gestaltung"),
    "layout-poster": ("Poster", "Plakat"),
    "layout-corner": ("Corner", "Ecke"),
    "layout-plate": ("Label", "Etikett"),
    "layout-spine": ("Strip", "Banderole"),
    "layout-strips": ("Demo tape", "Demotape"),
    "finish-which": ("Which cover", "Welche Hülle"),
    "finish-none": (
        "Send a cover here from the crate, or keep some: they appear here.",
        "Schick eine Hülle aus der Kiste hierher, oder behalte welche: sie erscheinen hier.",
    ),
    "finished-cover": ("Finished album cover: {name}", "Fertige Plattenhülle: {name}"),
    "contrast-n": (
        "The text has a contrast of {n} to 1 where it is least.",
        "Die Schrift hat mindestens {n} zu 1 Kontrast.",
    ),
    "save-print": ("PNG for print", "PNG für den Druck"),
    "save-loop": ("Loop, animated", "Als Schleife, bewegt"),
    "print-help": (
        "3000 × 3000 pixels, as shops ask for, with the cover's address inside: dropped on this page it opens again. "
        "Nothing is added to the picture; edges become crisp and a fine grain holds it together.",
        "3000 × 3000 Pixel, wie Läden es verlangen, mit der Adresse der Hülle darin: auf diese Seite gezogen öffnet "
        "sie sich wieder. Nichts wird hinzuerfunden; Kanten werden klar, ein feines Korn hält alles zusammen.",
    ),
    "printing": ("Printing, a few seconds …", "Wird gedruckt, ein paar Sekunden …"),
    "looping": ("Filming, a few seconds …", "Wird gefilmt, ein paar Sekunden …"),
    "printed": ("Saved as {name}", "Gespeichert als {name}"),
    # yours
    "yours": ("Yours", "Deins"),
    "your-picture": ("A picture of yours", "Ein Bild von dir"),
    "your-picture-help": (
        "PNG, JPEG or WebP, up to 8 MB: choose it or drop it here",
        "PNG, JPEG oder WebP, bis 8 MB: auswählen oder hierher ziehen",
    ),
    "yours-help": (
        "Everything that this generator can draw is a place among its latents. Your picture is looked for there: "
        "the cover that comes nearest, its colours and layout first. It will not be your picture, but it can be bred, "
        "walked and finished like any other. The search takes up to 20 seconds; the picture is not stored.",
        "Alles, was dieser Generator zeichnen kann, ist ein Ort unter seinen Latents. Dort wird dein Bild gesucht: "
        "die Hülle, die ihm am nächsten kommt, zuerst in Farben und Aufteilung. Es wird nicht dein Bild sein, aber "
        "man kann damit züchten, filmen und fertigstellen wie mit jeder anderen. Die Suche dauert bis zu 20 Sekunden; "
        "das Bild wird nicht gespeichert.",
    ),
    "found-here": ("The nearest cover appears here", "Die nächste Hülle erscheint hier"),
    "waiting": ("Waiting for its turn …", "Wartet, bis es dran ist …"),
    "searching": ("Searching …", "Wird gesucht …"),
    "found": ("The nearest cover", "Die nächste Hülle"),
    "stopped": ("The nearest so far", "Die nächste bis hierher"),
    "stop": ("Stop", "Anhalten"),
    "search-again": ("Search again", "Noch einmal suchen"),
    "not-a-picture": ("A picture is a PNG, JPEG or WebP file.", "Ein Bild ist eine PNG-, JPEG- oder WebP-Datei."),
    "too-large": ("A picture has at most 8 MB.", "Ein Bild hat höchstens 8 MB."),
    "is-it-a-copy": ("Is it a copy?", "Ist es eine Kopie?"),
    "no-index": (
        "This generator came without an index of its training covers, so nothing can be said about copies.",
        "Dieser Generator kam ohne Verzeichnis seiner Trainingshüllen; über Kopien lässt sich nichts sagen.",
    ),
    "index-help": (
        "Choose a cover: it is compared with the {n} covers that the generator learned from. Known of them are only "
        "measurements, no pictures.",
        "Wähle eine Hülle: sie wird mit den {n} Hüllen verglichen, an denen der Generator gelernt hat. Bekannt sind "
        "von ihnen nur Messwerte, keine Bilder.",
    ),
    "copy-none": ("Open a cover in the crate or keep one.", "Öffne eine Hülle in der Kiste oder behalte eine."),
    "a-copy": (
        "It may be a copy: so near lies a training cover to itself, cropped or badly saved.",
        "Es kann eine Kopie sein: so nah liegt eine Trainingshülle sich selbst, beschnitten oder grob gespeichert.",
    ),
    "no-copy": (
        "No sign of a copy: no training cover is near.",
        "Kein Zeichen einer Kopie: keine Trainingshülle ist nah.",
    ),
    "copy-share": (
        "The nearest is {distance} away. Of 100 training covers, {share} have another one as near as that.",
        "Die nächste ist {distance} entfernt. Von 100 Trainingshüllen haben {share} eine andere so nah bei sich.",
    ),
    "fewer-than-1": ("fewer than 1", "weniger als 1"),
    "copy-cover": ("Training cover (sha256)", "Trainingshülle (sha256)"),
    "copy-distance": ("Distance", "Abstand"),
    "copy-percentile": ("Of real covers", "Echte Hüllen"),
    "copy-bits": ("Hash differs in", "Hash weicht ab in"),
    "of-64": ("{n} of 64 bits", "{n} von 64 Bits"),
}
