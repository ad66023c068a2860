"""A service that needs sign-in, its users, and every wrong token that somebody might try."""

import base64
import hmac
import json
import time
from dataclasses import dataclass
from pathlib import Path

from delivery.service.database import Database
from delivery.service.secret import Secret
from delivery.service.settings import Settings
from delivery.service.sign_in import users
from delivery.service.sign_in.tokens import Claims, sign


def part(content: object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token_by_hand(header: object, claims: object, key: bytes | None, digest: str = "sha256") -> str:
    """A JWT as RFC 7515 has it, made without the library that the service uses."""
    signed = f"{part(header)}.{part(claims)}"
    mark = hmac.digest(key, signed.encode(), digest) if key is not None else b""
    return f"{signed}.{part(mark)}"


@dataclass(frozen=True)
class People:
    """The users of a service: alice and bob, the admin root, carol who is gone, dave whose tokens are void."""

    folder: Path
    key: bytes
    ids: dict[str, int]
    refresh: dict[str, str]

    @classmethod
    def of(cls, data: Path) -> "People":
        """Make them in the database of a service whose data folder this is."""
        settings = Settings(data=data)
        data.mkdir(parents=True, exist_ok=True)
        key = Secret.open(settings).signing_key
        database, ids, refresh = Database(settings.database_url), {}, {}
        database.upgrade()
        with database.session() as session:
            for name in ("alice", "bob", "root", "carol", "dave"):
                user = users.add(session, name, role="admin" if name == "root" else "user")
                refresh[name] = users.new_token(session, user, key)[1]
                ids[name] = user.id
                session.refresh(user)
                if name == "carol":
                    users.change(user, active=False)
                if name == "dave":
                    users.revoke(user)
        database.close()
        return cls(data, key, ids, refresh)

    def access(self, name: str, number: int = 1, seconds: float = 600) -> str:
        return sign(self.key, Claims("access", self.ids[name], number), seconds)

    def bearer(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access(name)}"}

    def claims(self, **changes: object) -> dict[str, object]:
        now = int(time.time())
        usual = {"iss": "skimflow", "sub": str(self.ids["alice"]), "typ": "access", "number": 1, "iat": now}
        return {**usual, "exp": now + 600, **changes}

    def wrong_headers(self) -> dict[str, dict[str, str]]:
        """Authorization headers that must open nothing, by what is wrong with them."""
        hs256, good = {"alg": "HS256", "typ": "JWT"}, self.access("alice")
        header, content, mark = good.split(".")
        without = {each: {k: v for k, v in self.claims().items() if k != each} for each in self.claims()}
        tokens = {
            "expired": self.access("alice", seconds=-10),
            "of a user who is gone": self.access("carol"),
            "revoked": self.access("dave"),
            "with a number never given": self.access("alice", number=99),
            "a refresh token": self.refresh["alice"],
            "a session": sign(self.key, Claims("session", self.ids["alice"], 1), 600),
            "of nobody": sign(self.key, Claims("access", None, 1), 600),
            "of an unknown user": token_by_hand(hs256, self.claims(sub="4711"), self.key),
            "of a user that is no number": token_by_hand(hs256, self.claims(sub="alice"), self.key),
            "of a huge number": token_by_hand(hs256, self.claims(sub="9" * 400), self.key),
            "signed by another key": token_by_hand(hs256, self.claims(), b"x" * 32),
            "signed by the empty key": token_by_hand(hs256, self.claims(), b""),
            "with another content": f"{header}.{part(self.claims(sub=str(self.ids['root'])))}.{mark}",
            "without its signature": f"{header}.{content}.",
            "with half a signature": f"{header}.{content}.{mark[:20]}",
            "alg none": token_by_hand({"alg": "none"}, self.claims(), None),
            "alg None": token_by_hand({"alg": "None"}, self.claims(), self.key),
            "alg HS512": token_by_hand({"alg": "HS512"}, self.claims(), self.key, "sha512"),
            "alg RS256": token_by_hand({"alg": "RS256"}, self.claims(), self.key),
            "no alg": token_by_hand({}, self.claims(), self.key),
            "a key of its own": token_by_hand({**hs256, "jwk": {"kty": "oct", "k": part(b"x")}}, self.claims(), b"x"),
            "critical extension": token_by_hand({**hs256, "crit": ["x"], "x": 1}, self.claims(), self.key),
            "of another issuer": token_by_hand(hs256, self.claims(iss="servicex"), self.key),
            "of the future": token_by_hand(hs256, self.claims(iat=int(time.time()) + 86400), self.key),
            "exp as text": token_by_hand(hs256, self.claims(exp="never"), self.key),
            "content that is no object": token_by_hand(hs256, [1], self.key),
            "content that is no JSON": token_by_hand(hs256, b"\xff", self.key),
            "deep content": token_by_hand(hs256, b"[" * 2500, self.key),
            "no JWT": "let-me-in",
            "two parts": "a.b",
            "dots": "....",
            "long": "a" * 20_000,
            **{f"without {name}": token_by_hand(hs256, rest, self.key) for name, rest in without.items()},
        }
        made = {name: {"Authorization": f"Bearer {token}"} for name, token in tokens.items()}
        basic = base64.b64encode(b"root:root").decode()
        return {**made, "no token": {}, "another scheme": {"Authorization": f"Basic {basic}"}, "a scheme alone": {
            "Authorization": "Bearer"
        }, "the good token without its scheme": {"Authorization": good}}  # fmt: skip
