"""JSON Web Tokens for tests and the demo: HS256, and everything that is wrong with a token."""

import base64
import hashlib
import hmac
import json
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(text, secret, digest=hashlib.sha256):
    return b64(hmac.new(secret.encode(), text.encode(), digest).digest())


def token(secret, claims, alg="HS256", digest=hashlib.sha256, header=None):
    """A token over `claims`, signed by HMAC whatever `alg` says."""
    head = b64(json.dumps(header or {"alg": alg, "typ": "JWT"}, separators=(",", ":")).encode())
    body = b64(json.dumps(claims, separators=(",", ":")).encode())
    return f"{head}.{body}.{sign(f'{head}.{body}', secret, digest)}"


def user(secret, who, seconds=3600, **more):
    """A good token for one user id, in its own JSON type."""
    now = int(time.time())
    return token(secret, {"sub": who, "iat": now, "exp": now + seconds, **more})


def unsigned(claims):
    """alg none, no signature."""
    return f"{b64(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{b64(json.dumps(claims).encode())}."
