"""The clients of the FAPI plans: two of each kind, as the suite wants them."""

KEY = """\
token_endpoint_auth_method = "private_key_jwt"
token_endpoint_auth_signing_alg = "ES256"
jwks_file = "{keys}.jwks"
"""
CERTIFICATE = """\
token_endpoint_auth_method = "tls_client_auth"
tls_client_auth_subject_dn = "CN={keys},O=Conformance"
"""
DPOP = "dpop_bound_access_tokens = true\n"
MTLS = "tls_client_certificate_bound_access_tokens = true\n"
REQUESTS = 'request_object_signing_alg = "ES256"\n'
ANSWERS = 'authorization_signed_response_alg = "ES256"\n'

# By the variant of the plan: how the client authenticates, and what its tokens are bound to.
KINDS = {
    ("private_key_jwt", "dpop"): ("fapi", "fapi2", KEY + DPOP),
    ("private_key_jwt", "mtls"): ("fapi-bound", "fapi2", KEY + MTLS),
    ("mtls", "dpop"): ("mtls", "fapi2", CERTIFICATE + DPOP),
    ("mtls", "mtls"): ("mtls-bound", "fapi2", CERTIFICATE + MTLS),
}
# The same of message signing: requests, and answers.
SIGNING = {
    ("signed_non_repudiation", "jarm"): ("signing", "fapi2-message-signing", KEY + DPOP + REQUESTS + ANSWERS),
    ("signed_non_repudiation", "plain_response"): (
        "signed-requests",
        "fapi2",
        KEY + DPOP + REQUESTS + "require_signed_request_object = true\n",
    ),
    ("unsigned", "jarm"): ("signed-answers", "fapi2", KEY + DPOP + ANSWERS),
}
# The names of keys and certificates.
KEYS = ("one", "two")
CALLBACKS = {
    "one": '"{suite}/test/a/chancery/callback"',
    "two": '"{suite}/test/a/chancery/callback?dummy1=lorem&dummy2=ipsum", "{suite}/test/a/chancery/callback"',
}


def prefix(variant):
    """How the names of the clients of a plan begin."""
    if "fapi_request_method" in variant:
        return SIGNING[variant["fapi_request_method"], variant["fapi_response_mode"]][0]
    return KINDS[variant["client_auth_type"], variant["sender_constrain"]][0]


def declared():
    """All of them, for bank.toml."""
    return "".join(
        f"""
[[client]]
client_id = "{name}-{keys}"
client_name = "{name} {keys}"
profile = "{profile}"
id_token_signed_response_alg = "ES256"
redirect_uris = [{CALLBACKS[keys]}]
grant_types = ["authorization_code", "refresh_token"]
scope = "openid profile email address phone offline_access"
{registered.replace("{keys}", keys)}"""
        for name, profile, registered in [*KINDS.values(), *SIGNING.values()]
        for keys in KEYS
    )
