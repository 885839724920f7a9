-- The schema of Chancery, in the dialect that PostgreSQL and SQLite share.
--
-- SQLite takes the column types as declared names: UUID is kept as 16 bytes, TIMESTAMPTZ as RFC 3339
-- text in UTC with at most six digits of a second (so that text order is time order), JSONB as text,
-- BYTEA as a blob, BOOLEAN as 0 or 1.
--
-- Bearer values (codes, tokens, cookies, secrets) are kept as SHA-256 digests only; private keys and
-- TOTP seeds are sealed under the key-encryption key before they come here.


-- What operators declare ------------------------------------------------------------------------

-- One row per kind of cached thing. Every process polls the sum each second and reloads what changed.
CREATE TABLE changes (
    topic    TEXT   NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL CHECK (sequence > 0)
);

CREATE TABLE clients (
    id         TEXT        NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 255),
    metadata   JSONB       NOT NULL, -- RFC 7591
    settings   JSONB       NOT NULL,
    secrets    JSONB       NOT NULL, -- digests, with their expiry
    disabled   BOOLEAN     NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE scopes (
    name       TEXT  NOT NULL PRIMARY KEY,
    definition JSONB NOT NULL
);

CREATE TABLE resource_servers (
    audience   TEXT  NOT NULL PRIMARY KEY,
    definition JSONB NOT NULL -- with the digest of the introspection secret
);

CREATE TABLE roles (
    name        TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL
);


-- People and how they prove who they are ---------------------------------------------------------

CREATE TABLE users (
    id                  UUID        NOT NULL PRIMARY KEY, -- the public subject, never reassigned
    username            TEXT        NOT NULL UNIQUE CHECK (length(username) BETWEEN 1 AND 255),
    password            TEXT,                             -- argon2id, as a PHC string
    claims              JSONB       NOT NULL,
    roles               JSONB       NOT NULL,
    second_factor       TEXT,                             -- the account's own policy
    created_at          TIMESTAMPTZ NOT NULL,
    password_changed_at TIMESTAMPTZ,
    disabled_at         TIMESTAMPTZ
);

CREATE TABLE totp_credentials (
    user_id      UUID        NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed_seed  BYTEA       NOT NULL,
    last_step    BIGINT      NOT NULL CHECK (last_step >= -1), -- only later steps are accepted
    confirmed_at TIMESTAMPTZ NOT NULL -- by its first code
);

CREATE TABLE recovery_codes (
    user_id    UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest     BYTEA       NOT NULL CHECK (length(digest) = 32),
    created_at TIMESTAMPTZ NOT NULL,
    used_at    TIMESTAMPTZ,
    PRIMARY KEY (user_id, digest)
);

-- Failures in a row, under a digest of what was typed, whether or not there is such an account.
CREATE TABLE attempts (
    account         BYTEA       NOT NULL PRIMARY KEY CHECK (length(account) = 32),
    failures        BIGINT      NOT NULL,
    last_failure_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX attempts_by_age ON attempts (last_failure_at);

CREATE TABLE sessions (
    id            UUID        NOT NULL PRIMARY KEY, -- the public sid; the cookie is another value
    digest        BYTEA       NOT NULL UNIQUE CHECK (length(digest) = 32),
    user_id       UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    auth_time     TIMESTAMPTZ NOT NULL,
    acr           TEXT        NOT NULL,
    amr           JSONB       NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    last_seen_at  TIMESTAMPTZ NOT NULL, -- written at most once a minute
    expires_at    TIMESTAMPTZ NOT NULL, -- the absolute end
    ended_at      TIMESTAMPTZ,
    user_agent    TEXT,
    address       TEXT
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);


-- Authorization ----------------------------------------------------------------------------------

-- Authorization requests that wait for a person.
CREATE TABLE interactions (
    id           UUID        NOT NULL PRIMARY KEY,
    client_id    TEXT, -- absent where a person signs in to the account pages
    purpose      JSONB       NOT NULL, -- with the request as it was read
    browser      BYTEA       NOT NULL CHECK (length(browser) = 32),
    version      BIGINT      NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    completed_at TIMESTAMPTZ
);
CREATE INDEX interactions_by_expiry ON interactions (expires_at);

-- The ledger. Rows are evidence and are never swept.
CREATE TABLE consents (
    id           UUID        NOT NULL PRIMARY KEY,
    user_id      UUID        NOT NULL REFERENCES users (id),
    client_id    TEXT        NOT NULL REFERENCES clients (id),
    scope        TEXT        NOT NULL,
    resources    JSONB       NOT NULL,
    granted_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    withdrawn_at TIMESTAMPTZ,
    version      BIGINT      NOT NULL CHECK (version > 0)
);
-- A customer has at most one open consent per client.
CREATE UNIQUE INDEX consents_open ON consents (user_id, client_id) WHERE withdrawn_at IS NULL;
CREATE INDEX consents_by_client ON consents (client_id);

-- The parent of tokens. A token lives only while everything above it does: grant, consent, session
-- (if bound to it), user. The session's row may be gone before the grant's, so it is not referenced.
CREATE TABLE grants (
    id            UUID        NOT NULL PRIMARY KEY,
    consent_id    UUID        NOT NULL REFERENCES consents (id),
    client_id     TEXT        NOT NULL,
    user_id       UUID        NOT NULL REFERENCES users (id),
    session_id    UUID        NOT NULL,
    session_bound BOOLEAN     NOT NULL,
    scope         TEXT        NOT NULL,
    audience      JSONB       NOT NULL,
    auth_time     TIMESTAMPTZ NOT NULL,
    acr           TEXT        NOT NULL,
    amr           JSONB       NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    revoked_at    TIMESTAMPTZ,
    expires_at    TIMESTAMPTZ NOT NULL -- nothing below lives longer
);
CREATE INDEX grants_by_consent ON grants (consent_id);
CREATE INDEX grants_by_user ON grants (user_id) WHERE revoked_at IS NULL;
CREATE INDEX grants_by_expiry ON grants (expires_at);

-- Spent codes stay until keep_until, so that a replay is recognized.
CREATE TABLE codes (
    digest         BYTEA       NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    grant_id       UUID        NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    client_id      TEXT        NOT NULL,
    redirect_uri   TEXT        NOT NULL,
    code_challenge TEXT,
    nonce          TEXT,
    issued_at      TIMESTAMPTZ NOT NULL,
    expires_at     TIMESTAMPTZ NOT NULL,
    keep_until     TIMESTAMPTZ NOT NULL,
    consumed_at    TIMESTAMPTZ
);
CREATE INDEX codes_by_grant ON codes (grant_id);
CREATE INDEX codes_by_end ON codes (keep_until);


-- Tokens -----------------------------------------------------------------------------------------

-- Consumed ones stay as long as their family may live, so that reuse is recognized.
CREATE TABLE refresh_tokens (
    digest          BYTEA       NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    grant_id        UUID        NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    client_id       TEXT        NOT NULL,
    kind            TEXT        NOT NULL CHECK (kind IN ('rotating', 'stable')),
    issued_at       TIMESTAMPTZ NOT NULL,
    idle_expires_at TIMESTAMPTZ NOT NULL,
    expires_at      TIMESTAMPTZ NOT NULL,
    consumed_at     TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- Opaque access tokens; JWTs leave no row.
CREATE TABLE access_tokens (
    digest     BYTEA       NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    id         UUID        NOT NULL,
    grant_id   UUID        REFERENCES grants (id) ON DELETE CASCADE, -- absent for client_credentials
    client_id  TEXT        NOT NULL,
    claims     JSONB       NOT NULL,
    issued_at  TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ
);
CREATE INDEX access_tokens_by_grant ON access_tokens (grant_id);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);

-- JWT access tokens that were revoked one by one, by jti.
CREATE TABLE denied_tokens (
    id         UUID        NOT NULL PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX denied_tokens_by_expiry ON denied_tokens (expires_at);

-- Proofs with a jti that were seen, by kind.
CREATE TABLE replay_marks (
    kind       TEXT        NOT NULL,
    digest     BYTEA       NOT NULL CHECK (length(digest) = 32),
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kind, digest)
);
CREATE INDEX replay_marks_by_expiry ON replay_marks (expires_at);


-- Keys -------------------------------------------------------------------------------------------

-- Rows of destroyed keys stay without the private half, to explain an old kid.
CREATE TABLE signing_keys (
    kid            TEXT        NOT NULL PRIMARY KEY, -- RFC 7638 thumbprint
    algorithm      TEXT        NOT NULL,
    state          TEXT        NOT NULL
        CHECK (state IN ('announced', 'active', 'retired', 'destroyed', 'revoked')),
    created_at     TIMESTAMPTZ NOT NULL,
    activates_at   TIMESTAMPTZ NOT NULL,
    retires_at     TIMESTAMPTZ,
    destroys_at    TIMESTAMPTZ,
    sealed_private BYTEA       NOT NULL,
    public_jwk     JSONB       NOT NULL,
    CHECK (state NOT IN ('destroyed', 'revoked') OR length(sealed_private) = 0)
);


-- Audit ------------------------------------------------------------------------------------------

-- Append-only: Chancery has no statement that changes or deletes a row. Nothing is referenced, so
-- that events outlive what they tell of.
CREATE TABLE audit_events (
    id             UUID        NOT NULL PRIMARY KEY, -- UUIDv7
    at             TIMESTAMPTZ NOT NULL,
    kind           TEXT        NOT NULL,
    outcome        TEXT        NOT NULL,
    actor          TEXT        NOT NULL,
    user_id        UUID,
    client_id      TEXT,
    session_id     UUID,
    grant_id       UUID,
    consent_id     UUID,
    interaction_id UUID,
    address        TEXT,
    correlation_id UUID,
    reason         TEXT,
    detail         JSONB       NOT NULL
);
CREATE INDEX audit_events_by_time ON audit_events (at);
CREATE INDEX audit_events_by_user ON audit_events (user_id, at);
CREATE INDEX audit_events_by_client ON audit_events (client_id, at);
