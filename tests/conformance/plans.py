"""The plans that run.py knows, and what the suite's own browser does on the pages that they show."""

from clients import prefix

ISSUER = "https://localhost:9443"
MTLS = "https://localhost:9444"
ALIAS = "chancery"

# Name: plan, variant, further members of its configuration.
FAPI = {"client_auth_type": "private_key_jwt", "sender_constrain": "dpop", "fapi_profile": "plain_fapi"}
SECURITY = {"openid": "openid_connect", "authorization_request_type": "simple"}
PLANS = {
    "config": ("oidcc-config-certification-test-plan", {}),
    "basic-static": (
        "oidcc-basic-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "static_client"},
    ),
    "basic-dynamic": (
        "oidcc-basic-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "dynamic_client"},
    ),
    "logout": (
        "oidcc-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "logout-static": (
        "oidcc-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "static_client"},
    ),
    "hybrid": (
        "oidcc-hybrid-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "dynamic_client"},
    ),
    "formpost": (
        "oidcc-formpost-basic-certification-test-plan",
        {"server_metadata": "discovery", "client_registration": "dynamic_client"},
    ),
    "dynamic": ("oidcc-dynamic-certification-test-plan", {"response_type": "code"}),
    "backchannel": (
        "oidcc-backchannel-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "frontchannel": (
        "oidcc-frontchannel-rp-initiated-logout-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "session": (
        "oidcc-session-management-certification-test-plan",
        {"response_type": "code", "client_registration": "dynamic_client"},
    ),
    "fapi2": (
        "fapi2-security-profile-final-test-plan",
        FAPI | SECURITY,
    ),
    "fapi2-mtls": (
        "fapi2-security-profile-final-test-plan",
        FAPI | SECURITY | {"client_auth_type": "mtls", "sender_constrain": "mtls"},
    ),
    "fapi2-mtls-dpop": ("fapi2-security-profile-final-test-plan", FAPI | SECURITY | {"client_auth_type": "mtls"}),
    "fapi2-jwt-mtls": ("fapi2-security-profile-final-test-plan", FAPI | SECURITY | {"sender_constrain": "mtls"}),
    "fapi2-signing": (
        "fapi2-message-signing-final-test-plan",
        FAPI | SECURITY | {"fapi_request_method": "signed_non_repudiation", "fapi_response_mode": "jarm"},
    ),
    "fapi2-signed-requests": (
        "fapi2-message-signing-final-test-plan",
        FAPI | SECURITY | {"fapi_request_method": "signed_non_repudiation", "fapi_response_mode": "plain_response"},
    ),
    "fapi2-signed-answers": (
        "fapi2-message-signing-final-test-plan",
        FAPI | SECURITY | {"fapi_request_method": "unsigned", "fapi_response_mode": "jarm"},
    ),
}


def tasks(*, sees=None):
    """The pages of a sign-in, for the browser that the suite brings; `sees` must be on the first one."""
    look = [["wait", "xpath", "//*", 10, sees, "update-image-placeholder-optional"]] if sees else []
    return [
        {
            "task": "Sign in",
            "optional": True,
            "match": f"{ISSUER}/interaction/*",
            "commands": look
            + [
                ["text", "id", "username", "alice", "optional"],
                ["text", "id", "password", "harbour-lantern-violet", "optional"],
                ["click", "id", "login-submit", "optional"],
            ],
        },
        {
            "task": "Consent",
            "optional": True,
            "match": f"{ISSUER}/interaction/*",
            "commands": [["click", "id", "consent-allow"]],
        },
        {
            "task": "Verify complete",
            "match": "*/test/*/callback*",
            "commands": [["wait", "id", "submission_complete", 10]],
        },
    ]


def flow(*, sees=None):
    return {"match": f"{ISSUER}/authorize*", "tasks": tasks(sees=sees)}


def page(match, text, *, optional=False):
    """A page of the server's own, on which this text must stand; the suite may want no picture of it."""
    look = ["wait", "xpath", "//*", 10, text, "update-image-placeholder" + ("-optional" if optional else "")]
    return {"match": f"{ISSUER}/{match}*", "tasks": [{"task": "See the page", "match": f"{ISSUER}/*", "commands": [look]}]}


SIGN_OUT = {
    "match": f"{ISSUER}/end-session*",
    "tasks": [
        {
            "task": "Sign out",
            "optional": True,
            "match": f"{ISSUER}/end-session*",
            "commands": [["click", "id", "sign-out", "optional"]],
        },
        {"task": "Verify complete", "match": "*/test/*/post*", "optional": True},
    ],
}
ASKED_AND_OUT = {
    "match": f"{ISSUER}/end-session*",
    "tasks": [
        {"task": "Sign out", "match": f"{ISSUER}/end-session*", "commands": [["click", "id", "sign-out"]]},
        {
            "task": "See the page",
            "match": f"{ISSUER}/*",
            "commands": [["wait", "xpath", "//*", 10, "signed out", "update-image-placeholder"]],
        },
    ],
}
WRONG_REQUEST = {"browser": [page("authorize", "This link does not work")]}
# Whoever can't be told apart from a stranger only makes the server ask the person (LO-01, LO-02).
ONLY_A_PAGE = {"browser": [flow(), page("end-session", "Sign out")]}
SIGNED_OUT = {"browser": [flow(), page("end-session", "signed out")]}
ASKS = {"browser": [flow(), ASKED_AND_OUT]}


NOT_THIS_WAY = {"browser": [page("authorize", "This link does not work")]}
# One after the other, at the same address.
NOT_TWICE = {"browser": [flow() | {"match-limit": 1}, page("authorize", "This link does not work")]}
LATER = {"browser": [page("authorize", "Sign in", optional=True) | {"match-limit": 1}, flow()]}
REJECTS = {
    "match": f"{ISSUER}/authorize*",
    "tasks": [
        {"task": "Cancel", "match": f"{ISSUER}/interaction/*", "commands": [["click", "id", "cancel"]]},
        {"task": "Verify complete", "match": "*/test/*/callback*", "commands": [["wait", "id", "submission_complete", 10]]},
    ],
}


def fapi(name, keys, certificates):
    """`certificates` are those that the suite shows, as members of its configuration."""
    variant = PLANS[name][1]
    client = lambda key: {
        "client_id": f"{prefix(variant)}-{key['kid']}",
        "scope": "openid profile email",
        "jwks": {"keys": [key]},
        "dpop_signing_alg": "ES256",
    }
    shows = "mtls" in variant.values()
    return {
        **(certificates if shows else {}),
        "alias": ALIAS,
        "description": "Chancery",
        "server": {"discoveryUrl": f"{ISSUER}/.well-known/openid-configuration"},
        "client": client(keys[0]),
        "client2": client(keys[1]),
        "resource": {"resourceUrl": f"{MTLS if shows else ISSUER}/userinfo"},
        "browser": [flow()],
        "override": {
            "fapi2-security-profile-final-user-rejects-authentication": {"browser": [REJECTS]},
            "fapi2-security-profile-final-par-attempt-reuse-request_uri": NOT_TWICE,
            "fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": LATER,
            **{f"fapi2-security-profile-final-{module}": NOT_THIS_WAY for module in REFUSED_ON_A_PAGE},
        },
    }


REFUSED_ON_A_PAGE = [
    "par-attempt-to-use-expired-request_uri",
    "par-attempt-to-use-request_uri-for-different-client",
]


def configuration(plan, keys, certificates):
    if plan.startswith("fapi2"):
        return fapi(plan, keys, certificates)
    client = lambda name, secret: {"client_id": name, "client_secret": secret}
    return {
        "alias": ALIAS,
        "description": "Chancery",
        "server": {"discoveryUrl": f"{ISSUER}/.well-known/openid-configuration"},
        "client": client("basic", "basic-secret-0123456789abcdefghijkl"),
        "client2": client("second", "second-secret-0123456789abcdefghijk"),
        "client_secret_post": client("post", "post-secret-0123456789abcdefghijklm"),
        "browser": [flow(), SIGN_OUT],
        "override": {
            "oidcc-prompt-login": {"browser": [flow(sees="Sign in")]},
            "oidcc-max-age-1": {"browser": [flow(sees="Sign in")]},
            "oidcc-ensure-registered-redirect-uri": WRONG_REQUEST,
            "oidcc-ensure-redirect-uri-in-authorization-request": WRONG_REQUEST,
            "oidcc-redirect-uri-query-added": WRONG_REQUEST,
            "oidcc-redirect-uri-query-mismatch": WRONG_REQUEST,
            "oidcc-registration-logo-uri": {"browser": [page("authorize", "Sign in")]},
            "oidcc-registration-policy-uri": {"browser": [page("authorize", "Sign in")]},
            "oidcc-registration-tos-uri": {"browser": [page("authorize", "Sign in")]},
            "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-modified-id-token-hint": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-bad-id-token-hint": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-no-id-token-hint": ONLY_A_PAGE,
            "oidcc-rp-initiated-logout-no-params": ASKS,
            "oidcc-rp-initiated-logout-no-post-logout-redirect-uri": SIGNED_OUT,
            "oidcc-rp-initiated-logout-only-state": ASKS,
        },
    }
