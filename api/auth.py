"""Who a request comes from: an API key, looked up once every few seconds."""

from __future__ import annotations

from cachetools import TTLCache
from starlette.requests import HTTPConnection

from customhouse.contracts.errors import Forbidden, Unauthenticated
from customhouse.contracts.timing import AUTH_CACHE_TTL
from customhouse.storage.keys import Keys, Principal, Refusal, Role, hash_secret

_CACHED_KEYS = 10_000

_HOW = "Send it as 'Authorization: Bearer <key>'. Administrators make keys with: customhouse keys create"


class Authenticator:
    """Turns a secret into a Principal. What the database says of one stands for AUTH_CACHE_TTL.

    Refused secrets have a cache of their own, so that a client that keeps trying one costs no database read, and a
    flood of them pushes out no good key.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._accepted: TTLCache[bytes, Principal] = TTLCache(_CACHED_KEYS, AUTH_CACHE_TTL.total_seconds())
        self._refused: TTLCache[bytes, Refusal] = TTLCache(_CACHED_KEYS, AUTH_CACHE_TTL.total_seconds())

    async def authenticate(self, connection: HTTPConnection, required: Role = Role.MEMBER) -> Principal:
        """Raises Unauthenticated, or Forbidden where the key's role does not include `required`."""
        return await self.authenticate_secret(_secret(connection), required)

    async def authenticate_secret(self, secret: str, required: Role) -> Principal:
        """As `authenticate`, for a secret that came another way."""
        digest = hash_secret(secret)
        principal = self._accepted.get(digest)
        if principal is None:
            found = self._refused.get(digest) or await self._ask(secret, digest)
            if isinstance(found, Refusal):
                # An expired or revoked key was its holder's own, so saying so tells nothing to a stranger.
                what = "is not known" if found is Refusal.UNKNOWN else f"is {found}"
                raise Unauthenticated(f"The API key {what}. {_HOW}")
            principal = found
        if not principal.role.includes(required):
            raise Forbidden(
                f"This needs the role {required}, and the key {principal.name!r} has the role {principal.role}. "
                "Ask an administrator for a key with that role."
            )
        return principal

    async def _ask(self, secret: str, digest: bytes) -> Principal | Refusal:
        found = await self._keys.authenticate(secret)
        if isinstance(found, Refusal):
            self._refused[digest] = found
        else:
            self._accepted[digest] = found
        return found


def _secret(connection: HTTPConnection) -> str:
    header = connection.headers.get("authorization", "")
    scheme, _, secret = header.partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    if key := connection.headers.get("x-api-key", "").strip():
        return key
    if header:
        raise Unauthenticated(f"The Authorization header is not of the form 'Bearer <key>'. {_HOW}")
    raise Unauthenticated(f"There is no API key in the request. {_HOW}")
