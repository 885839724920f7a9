"""A relying party on Authlib: discovery, authorization code with PKCE, ID token, userinfo, refresh, revocation.

It prints `AUTHORIZE <url>`; whoever runs it (a test, or a person with a browser) goes there and answers on
standard input with the address the browser was sent back to.

Environment: ISSUER, CLIENT_ID, REDIRECT_URI, SCOPE; CLIENT_SECRET (absent: a public client); CLIENT_AUTH
(`client_secret_basic`, the default, or `client_secret_post`).
"""

import os
from urllib.parse import parse_qs, urlsplit

ISSUER = os.environ["ISSUER"]
if ISSUER.startswith("http://"):
    # A development issuer on this machine speaks plain http, which the library must be told to accept.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

CLIENT_ID = os.environ["CLIENT_ID"]
CLIENT_SECRET = os.environ.get("CLIENT_SECRET")


def validated_id_token(metadata, jwks, token, nonce):
    """The claims of the ID token, after the checks that Authlib's framework clients make."""
    registry = JWSRegistry(algorithms=metadata["id_token_signing_alg_values_supported"])
    decoded = jwt.decode(token["id_token"], KeySet.import_key_set(jwks), registry=registry)
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"essential": True, "value": metadata["issuer"]}, "aud": {"essential": True, "value": CLIENT_ID}},
        {"nonce": nonce, "client_id": CLIENT_ID, "access_token": token["access_token"]},
    )
    claims.validate(leeway=5)
    assert claims["nonce"] == nonce
    return claims


def main():
    method = os.environ.get("CLIENT_AUTH", "client_secret_basic") if CLIENT_SECRET else "none"
    session = OAuth2Session(
        CLIENT_ID,
        CLIENT_SECRET,
        scope=os.environ["SCOPE"],
        redirect_uri=os.environ["REDIRECT_URI"],
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
        code_challenge_method="S256",
    )
    session.trust_env = False

    def get(url, **options):
        response = session.get(url, **options)
        response.raise_for_status()
        return response.json()

    metadata = get(f"{ISSUER}/.well-known/openid-configuration", withhold_token=True)
    assert metadata["issuer"] == ISSUER, metadata["issuer"]
    jwks = get(metadata["jwks_uri"], withhold_token=True)

    verifier, nonce = generate_token(48), generate_token(32)
    url, state = session.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    print(f"AUTHORIZE {url}", flush=True)
    answer = input().strip()
    assert parse_qs(urlsplit(answer).query)["iss"] == [ISSUER], "iss (RFC 9207)"

    token = dict(
        session.fetch_token(
            metadata["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier
        )
    )
    claims = validated_id_token(metadata, jwks, token, nonce)
    print(f"ID token for {claims['sub']}")

    person = get(metadata["userinfo_endpoint"])
    assert person["sub"] == claims["sub"]
    print(f"userinfo for {person['sub']}")

    # Authlib names the scope at every refresh; it may not be more than was granted (RFC 6749 §6).
    session.scope = token.get("scope", session.scope)
    refreshed = dict(session.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"]))
    assert refreshed["access_token"] != token["access_token"]
    assert get(metadata["userinfo_endpoint"])["sub"] == claims["sub"]
    print("refreshed")

    # A public client's refresh token was rotated; a confidential one's may have stayed.
    current = refreshed.get("refresh_token") or token["refresh_token"]
    revoked = session.revoke_token(
        metadata["revocation_endpoint"], token=current, token_type_hint="refresh_token"
    )
    assert revoked.status_code == 200, revoked.text
    try:
        session.refresh_token(metadata["token_endpoint"], refresh_token=current)
    except OAuthError as refusal:
        assert refusal.error == "invalid_grant", refusal
    else:
        raise AssertionError("a revoked refresh token still works")
    print("revoked")


if __name__ == "__main__":
    main()
