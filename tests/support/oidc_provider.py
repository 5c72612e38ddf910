"""A small provider of OpenID Connect: signs everybody in as whom it is told to, and fails as it is told to."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "jobmeter client", "secret/of:the+client"


class Provider(ThreadingHTTPServer):
    """Keeps to the code flow with PKCE (S256). ``claims`` are put into each ID token; ``header`` into its head."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "one"})
        self.claims: dict[str, Any] = {}
        self.left_out: set[str] = set()
        self.signing: Any = None
        self.header: dict[str, Any] = {}
        self.error: str | None = None
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.places: dict[str, str] = {}

    def turn_key(self) -> None:
        """Sign with another key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)})

    def id_token(self, nonce: str) -> str:
        """The ID token of who has just signed in."""
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "42", "iat": now, "exp": now + 300, "nonce": nonce,
            "preferred_username": "ann", **self.claims,
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if name not in self.left_out}
        return jwt.encode(
            {"alg": "RS256", "kid": self.key.kid, **self.header}, kept, self.signing or self.key
        )


class _Handler(BaseHTTPRequestHandler):
    server: Provider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Discovery, keys, and the page where people would sign in: it sends them back at once."""
        parts, provider = urlsplit(self.path), self.server
        provider.asked.append(parts.path)
        match parts.path:
            case "/.well-known/openid-configuration":
                places = {
                    "issuer": provider.issuer, "authorization_endpoint": f"{provider.issuer}/authorize",
                    "token_endpoint": f"{provider.issuer}/token", "jwks_uri": f"{provider.issuer}/keys?v=1",
                }  # fmt: skip
                self._answer(200, places | provider.places)
            case "/keys":
                self._answer(200, {"keys": [provider.key.as_dict(private=False), {"kty": "odd"}]})
            case "/authorize":
                self._authorize({name: values[0] for name, values in parse_qs(parts.query).items()})
            case _:
                self._answer(404, {})

    def _authorize(self, asked: dict[str, str]) -> None:
        provider = self.server
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split(" ")
        back = {"state": asked["state"], "iss": provider.issuer}
        if provider.error is not None:
            back["error"] = provider.error
        else:
            back["code"] = secrets.token_urlsafe(8)
            provider.codes[back["code"]] = asked
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri']}?{urlencode(back)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """The token endpoint: each code once, for who began."""
        provider = self.server
        provider.asked.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        begun = provider.codes.pop(form.get("code", ""), None)
        _, _, encoded = self.headers.get("Authorization", "").partition(" ")
        client, _, secret = base64.b64decode(encoded).decode().partition(":")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            begun is None
            or (unquote(client), unquote(secret)) != (CLIENT, SECRET)
            or form.get("redirect_uri") != begun["redirect_uri"]
            or challenge != begun["code_challenge"]
        ):
            self._answer(400, {"error": "invalid_grant"})
            return
        token = provider.id_token(begun["nonce"])
        self._answer(200, {"access_token": "unused", "token_type": "Bearer", "id_token": token})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def provider() -> Iterator[Provider]:
    """One that answers until the end of the block."""
    serving = Provider()
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield serving
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()
