"""The licences that a card on the Hub may name, in any spelling that people use."""

import difflib
import re
import unicodedata

from gan.errors import HubError


# The identifiers of https://huggingface.co/docs/hub/repositories-licenses.
LICENSES = (
    *("apache-2.0", "mit", "openrail", "openrail++", "bigscience-openrail-m", "creativeml-openrail-m"),
    *("bigscience-bloom-rail-1.0", "bigcode-openrail-m", "afl-3.0", "artistic-2.0", "bsl-1.0"),
    *("bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "c-uda"),
    *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    *("cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0"),
    *("etalab-2.0", "eupl-1.1", "eupl-1.2", "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0"),
    *("lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "h-research", "intel-research", "lppl-1.3c", "ms-pl"),
    *("apple-ascl", "apple-amlr", "mpl-2.0", "odc-by", "odbl", "openmdw-1.0", "osl-3.0", "postgresql", "ofl-1.1"),
    *("ncsa", "unlicense", "zlib", "pddl", "lgpl-lr", "deepfloyd-if-license", "fair-noncommercial-research-license"),
    *("llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4", "grok2-community", "gemma"),
    *("unknown", "other"),
)
WORDS = (
    ("creative commons", "cc"),
    ("attribution", "by"),
    ("non commercial", "nc"),
    ("noncommercial", "nc"),
    ("share alike", "sa"),
    ("sharealike", "sa"),
    ("no derivatives", "nd"),
    ("noderivatives", "nd"),
    ("noderivs", "nd"),
    ("gnu general public", "gpl"),
    ("gnu lesser general public", "lgpl"),
    ("gnu affero general public", "agpl"),
    ("affero gpl", "agpl"),
    ("mozilla public", "mpl"),
    ("eclipse public", "epl"),
    ("boost software", "bsl"),
    ("open database", "odbl"),
    ("apache software", "apache"),
    ("sil open font", "ofl"),
    ("cc zero", "cc0"),
)
FILLERS = re.compile(
    r"\b(the|licen[cs]e|version|international|universal|unported|only|or later|public domain dedication|gnu|sil|"
    r"new or revised|open source)\b"
)
# https://creativecommons.org/licenses/by-nc/4.0/ and https://www.apache.org/licenses/LICENSE-2.0
ADDRESSES = (
    (re.compile(r".*creativecommons\.org/publicdomain/zero/(\d\.\d).*"), r"cc0-\1"),
    (re.compile(r".*creativecommons\.org/licen[cs]es/([a-z-]+)/(\d\.\d).*"), r"cc-\1-\2"),
    (re.compile(r".*apache\.org/licenses/license-(\d\.\d).*"), r"apache-\1"),
    (re.compile(r".*opensource\.org/licenses?/([\w.-]+)/?"), r"\1"),
)


def license_id(text: str) -> str:
    """Return the Hub's identifier of a licence in any spelling that people use, as `CC BY-NC 4.0` or `GPLv3`.

    Raises:
        HubError: the Hub knows no such licence; the line names those that are near.
    """
    known = {_squeezed(name): name for name in reversed(LICENSES)}
    text = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFKC", text)).strip()[:200]
    asked = _squeezed(text)
    bare = asked.rstrip("+")
    # Apache 2 is Apache 2.0, CC0 is CC0 1.0, Attribution is Creative Commons', GPL-3.0+ is or later, ODbL 1.0 is ODbL
    for spelling in (asked, f"{asked}0", f"{asked}10", f"cc{asked}", bare, bare.removesuffix("10")):
        if asked and spelling in known:
            return known[spelling]
    begin = [name for name in LICENSES if asked and _squeezed(name).startswith(asked)]
    near = begin[:4] or difflib.get_close_matches(text.lower(), LICENSES, 4, 0.5) or ["cc-by-4.0", "mit"]
    raise HubError(f"--license {text}: the Hub knows no such licence; near are {', '.join(near)}; or name `other`")


def _squeezed(text: str) -> str:
    text = text.lower()
    for address, name in ADDRESSES:
        text = address.sub(name, text)
    text = re.sub(r"[\s_/\"'-]+", " ", text)
    for words, short in WORDS:
        text = text.replace(words, short)
    text = re.sub(r"(?<=[a-z ])v\.? ?(?=\d)", "", FILLERS.sub("", text))
    return re.sub(r"[^a-z0-9+]", "", text)
