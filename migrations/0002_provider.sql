-- What a whole OpenID provider and a financial-grade authorization server keep beyond version 1. Expand
-- only: version 1 goes on working on this schema.


-- Logout -----------------------------------------------------------------------------------------

-- Which clients got an ID token in a session: those that are told when it ends. Only clients that
-- want to be told have rows.
CREATE TABLE session_clients (
    session_id UUID        NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    client_id  TEXT        NOT NULL,
    since      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (session_id, client_id)
);

-- Logout tokens to deliver (Back-Channel Logout §2.5). A row is claimed by moving due_at on, so that a
-- node that dies leaves it to the others. Delivered and given up ones stay until expires_at.
CREATE TABLE logout_notices (
    session_id UUID        NOT NULL,
    client_id  TEXT        NOT NULL,
    user_id    UUID        NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    due_at     TIMESTAMPTZ NOT NULL,
    attempts   BIGINT      NOT NULL CHECK (attempts >= 0),
    done_at    TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (session_id, client_id)
);
CREATE INDEX logout_notices_due ON logout_notices (due_at) WHERE done_at IS NULL;
CREATE INDEX logout_notices_by_expiry ON logout_notices (expires_at);


-- Device flow ------------------------------------------------------------------------------------

-- Devices that wait for a person (RFC 8628). Both codes are kept as digests. One that was allowed has a
-- row of the same digest in codes, which is what can be spent only once.
CREATE TABLE device_codes (
    digest      BYTEA       NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    user_code   BYTEA       NOT NULL UNIQUE CHECK (length(user_code) = 32),
    client_id   TEXT        NOT NULL,
    request     JSONB       NOT NULL,
    state       TEXT        NOT NULL CHECK (state IN ('pending', 'claimed', 'denied')),
    poll_after  TIMESTAMPTZ NOT NULL, -- a poll before this is too early
    poll_every  BIGINT      NOT NULL CHECK (poll_every > 0), -- seconds; grows by five at each early poll
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);


-- Registration by clients themselves ---------------------------------------------------------------

-- What lets somebody register a client (RFC 7591 §3). The token itself is nowhere.
CREATE TABLE initial_access_tokens (
    id         UUID        NOT NULL PRIMARY KEY,
    digest     BYTEA       NOT NULL UNIQUE CHECK (length(digest) = 32),
    policy     TEXT        NOT NULL, -- by name, of the settings
    note       TEXT        NOT NULL, -- whom it was given to
    max_uses   BIGINT      CHECK (max_uses > 0), -- absent for any number
    uses       BIGINT      NOT NULL CHECK (uses >= 0),
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);
CREATE INDEX initial_access_tokens_by_expiry ON initial_access_tokens (expires_at);

-- Where a client comes from that no operator declared.
CREATE TABLE registrations (
    client_id          TEXT        NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    origin             TEXT        NOT NULL, -- registered, document
    policy             TEXT        NOT NULL,
    initial_token      UUID,
    management_digest  BYTEA       UNIQUE CHECK (length(management_digest) = 32), -- absent once deleted
    software_statement TEXT,
    registered_at      TIMESTAMPTZ NOT NULL,
    fetched_at         TIMESTAMPTZ, -- of a client that is a document
    used_at            TIMESTAMPTZ  -- last authenticated, noted at most once a day
);
CREATE INDEX registrations_by_use ON registrations (policy, (COALESCE(used_at, registered_at)));


-- Upstream providers -----------------------------------------------------------------------------

-- People who were sent to an upstream provider and have not come back. The state travels through the
-- browser; nonce and PKCE verifier are made from it and a key of the server, and are not kept.
CREATE TABLE upstream_attempts (
    digest     BYTEA       NOT NULL PRIMARY KEY CHECK (length(digest) = 32), -- of the state
    provider   TEXT        NOT NULL,
    browser    BYTEA       NOT NULL CHECK (length(browser) = 32),
    purpose    JSONB       NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ
);
CREATE INDEX upstream_attempts_by_expiry ON upstream_attempts (expires_at);

-- Which subject of which issuer is which user: one user per subject, and one subject of an issuer per
-- user. Nothing else identifies anybody, e-mail addresses least of all.
CREATE TABLE upstream_links (
    issuer     TEXT        NOT NULL,
    subject    TEXT        NOT NULL,
    user_id    UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    brought    BOOLEAN     NOT NULL, -- the provider brought the user: its roles and claims follow it
    label      TEXT,
    linked_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (user_id, issuer)
);

-- Sessions that rest on an upstream provider's word.
CREATE TABLE upstream_sessions (
    session_id      UUID        NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    issuer          TEXT        NOT NULL,
    subject         TEXT        NOT NULL,
    sid             TEXT,
    sealed_id_token BYTEA       NOT NULL, -- the hint for a logout there
    since           TIMESTAMPTZ NOT NULL
);
CREATE INDEX upstream_sessions_by_subject ON upstream_sessions (issuer, subject);


-- Pushed requests and bound tokens ---------------------------------------------------------------

-- Authorization requests that wait for a browser to bring their reference (RFC 9126).
CREATE TABLE pushed_requests (
    digest      BYTEA       NOT NULL PRIMARY KEY CHECK (length(digest) = 32), -- of the reference
    client_id   TEXT        NOT NULL,
    request     JSONB       NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL, -- for a browser that brings it
    keep_until  TIMESTAMPTZ NOT NULL, -- for the interaction that it began
    consumed_at TIMESTAMPTZ           -- by an answer
);
CREATE INDEX pushed_requests_by_end ON pushed_requests (keep_until);

-- The thumbprint of the only key that may redeem (RFC 9449 §10); absent for any.
ALTER TABLE codes ADD COLUMN dpop_jkt BYTEA;
-- The thumbprint of the only key or certificate that may refresh (RFC 9449 §5, RFC 8705 §4); absent for any.
ALTER TABLE refresh_tokens ADD COLUMN bound_to BYTEA;


-- Secrets of the whole deployment ------------------------------------------------------------------

-- Made once, sealed, the same for every node, and never replaced: pairwise subjects are computed with one.
CREATE TABLE deployment_secrets (
    name       TEXT        NOT NULL PRIMARY KEY,
    sealed     BYTEA       NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);


-- Choosing an account -------------------------------------------------------------------------------

-- The session that a person chose to go on with, where the client wanted them to be asked
-- (prompt=select_account).
ALTER TABLE interactions ADD COLUMN chosen_session UUID;


-- Rich authorization requests ------------------------------------------------------------------------

-- Types of authorization details, as an operator declared them (RFC 9396 §2).
CREATE TABLE detail_types (
    name       TEXT  NOT NULL PRIMARY KEY,
    definition JSONB NOT NULL
);

-- What exactly was allowed and granted, beside the scope; absent for nothing.
ALTER TABLE consents ADD COLUMN details JSONB;
ALTER TABLE grants ADD COLUMN details JSONB;

-- The accounts among which a person may choose on a consent page; absent for none.
ALTER TABLE users ADD COLUMN accounts JSONB;
