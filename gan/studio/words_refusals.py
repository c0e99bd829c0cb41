"""What the page refuses, in German; the keys are the sentences in English (see `Refused` in checks.py), and what is
put into them."""

REFUSALS = {
    # what a sentence is about
    "a seed": "ein Seed",
    "truncation": "die Truncation",
    "the number of frames": "die Zahl der Bilder",
    "frames a second": "die Zahl der Bilder je Sekunde",
    "a frame": "ein Bild",
    "the position": "die Stelle",
    "a place": "ein Ort",
    "the difference": "der Unterschied",
    "a fader": "ein Regler",
    "the artist": "der Interpret",
    "the title": "der Titel",
    "another generator": "einem anderen Generator",
    # sentences
    "{name} is a number from {low} to {high}": "{name} ist eine Zahl von {low} bis {high}",
    "{name} is a whole number from {low} to {high}": "{name} ist eine ganze Zahl von {low} bis {high}",
    "{name} is text of at most {most} letters": "{name} ist ein Text von höchstens {most} Zeichen",
    "the fonts have no {names}: they know the letters of Latin script": (
        "die Schriften haben kein {names}: sie kennen die Buchstaben der lateinischen Schrift"
    ),
    "a layout is one of {layouts}": "eine Gestaltung ist eine von {layouts}",
    "an address has either a seed or latents": "eine Adresse hat entweder einen Seed oder Latents",
    "an address names model and revision with letters, digits and . / @ + - only": (
        "eine Adresse nennt Modell und Revision nur mit Buchstaben, Ziffern und . / @ + -"
    ),
    "an address has at most {most} characters": "eine Adresse hat höchstens {most} Zeichen",
    "an address is text such as seed=7&truncation=0.8": "eine Adresse ist ein Text wie seed=7&truncation=0.8",
    "the latents of an address are base64url": "die Latents einer Adresse sind base64url",
    "the latents of an address are numbers of two bytes each": (
        "die Latents einer Adresse sind Zahlen von je zwei Bytes"
    ),
    "the latents of an address are numbers from -{most} to {most}": (
        "die Latents einer Adresse sind Zahlen von -{most} bis {most}"
    ),
    "this cover was drawn by {wanted}, and this page shows {shown}": (
        "diese Hülle ist von {wanted} gezeichnet, und diese Seite zeigt {shown}"
    ),
    "this generator draws from {wanted} latents, not {count}": (
        "dieser Generator zeichnet aus {wanted} Latents, nicht aus {count}"
    ),
    "this generator knows no genres: leave it out": "dieser Generator kennt keine Genres: lass es weg",
    "a genre is one of {genres}, or none for any": "ein Genre ist eines von {genres}, oder keines für alle",
    "this is not a PNG that can be read": "das ist kein PNG, das sich lesen lässt",
    "this PNG holds no address: it was not made here, or was saved anew by another program": (
        "dieses PNG hat keine Adresse: es ist nicht von hier, oder ein anderes Programm hat es neu gespeichert"
    ),
    "at most {most} covers are drawn at once": "höchstens {most} Hüllen werden auf einmal gezeichnet",
    "a shelf holds at most {most} covers": "ein Regal fasst höchstens {most} Hüllen",
    "there are 1 to {count} faders": "es gibt 1 bis {count} Regler",
    "a film goes through 2 to {most} covers": "ein Film geht durch 2 bis {most} Hüllen",
    "a film has at least as many frames as covers": "ein Film hat mindestens so viele Bilder wie Hüllen",
    "films are made as webp or mp4": "Filme gibt es als webp oder mp4",
    "films are made as webp, mp4 needs ffmpeg": "Filme gibt es als webp, für mp4 fehlt ffmpeg",
    "a picture is a file of at most {most} MB": "ein Bild ist eine Datei von höchstens {most} MB",
    "a picture has at most {most} million pixels": "ein Bild hat höchstens {most} Millionen Pixel",
    "a picture has at least {fewest} pixels a side": "ein Bild hat mindestens {fewest} Pixel an jeder Seite",
    "a picture is a PNG, JPEG or WebP file": "ein Bild ist eine PNG-, JPEG- oder WebP-Datei",
    "this is not a PNG, JPEG or WebP picture": "das ist kein PNG-, JPEG- oder WebP-Bild",
    "this picture is damaged and cannot be read": "dieses Bild ist beschädigt und lässt sich nicht lesen",
    "this generator came without an index of its training covers": (
        "dieser Generator kam ohne Verzeichnis seiner Trainingshüllen"
    ),
    "there are no snapshots of this generator's training": (
        "es gibt keine Zwischenstände vom Training dieses Generators"
    ),
}
