"""URLs as people and keys may see them: without what lets in whoever holds it.

A signed URL carries a token in its query (``?authz=…``), others a password before the host. Reading needs them; a
message that shows them gives them away, and a key that holds them changes with every new token.
"""

import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<user>[^/?#]*@)?(?P<place>[^?#]*)(?P<query>.*)", re.DOTALL)
_URL_IN_TEXT = re.compile(r"""[A-Za-z][\w+.-]*://[^\s'"<>]*?(?=[)\],.;:]*(?:[\s'"<>]|$))""")


def shown(url: str) -> str:
    """A URL without user, password, query and fragment; a path as it is."""
    found = _URL.fullmatch(url)
    return found["scheme"] + found["place"] if found else url


def without_secrets(text: str, url: str = "") -> str:
    """A message with every URL in it as `shown`, and without what `shown` takes from ``url``, wherever it stands."""
    text = _URL_IN_TEXT.sub(lambda found: shown(found[0]), text)
    found = _URL.fullmatch(url)
    for secret in (found["user"], found["query"]) if found else ():
        if secret:
            text = text.replace(secret, "")
    return text


def masked(text: str) -> str:
    """``text`` with asterisks for what `shown` takes from the URLs in it: every character keeps its place."""
    return _URL_IN_TEXT.sub(_asterisks, text)


def _asterisks(found: re.Match[str]) -> str:
    parts = _URL.fullmatch(found[0])
    if parts is None:
        return found[0]
    user, query = parts["user"] or "", parts["query"]
    return f"{parts['scheme']}{'*' * len(user)}{parts['place']}{'*' * len(query)}"
