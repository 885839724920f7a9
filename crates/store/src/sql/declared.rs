//! Clients, the scope catalogue and the change sequence.

statements! {
    CLIENTS = "SELECT id, metadata, settings, secrets, disabled, created_at, updated_at FROM clients ORDER BY id";
    CLIENT = "SELECT id, metadata, settings, secrets, disabled, created_at, updated_at FROM clients WHERE id = $1";
    INSERT_CLIENT = "INSERT INTO clients (id, metadata, settings, secrets, disabled, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
    PUT_CLIENT = "INSERT INTO clients (id, metadata, settings, secrets, disabled, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE SET metadata = excluded.metadata, settings = excluded.settings,
            secrets = excluded.secrets, disabled = excluded.disabled, updated_at = excluded.updated_at";

    SCOPES = "SELECT name, definition FROM scopes ORDER BY name";
    PUT_SCOPE = "INSERT INTO scopes (name, definition) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET definition = excluded.definition";
    RESOURCE_SERVERS = "SELECT audience AS name, definition FROM resource_servers ORDER BY audience";
    PUT_RESOURCE_SERVER = "INSERT INTO resource_servers (audience, definition) VALUES ($1, $2)
        ON CONFLICT (audience) DO UPDATE SET definition = excluded.definition";
    DETAIL_TYPES = "SELECT name, definition FROM detail_types ORDER BY name";
    PUT_DETAIL_TYPE = "INSERT INTO detail_types (name, definition) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET definition = excluded.definition";
    ROLES = "SELECT name, description FROM roles ORDER BY name";
    PUT_ROLE = "INSERT INTO roles (name, description) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET description = excluded.description";

    /// The row stays locked until commit, so a reader that sees the number sees what it counts.
    BUMP = "INSERT INTO changes (topic, sequence) VALUES ($1, 1)
        ON CONFLICT (topic) DO UPDATE SET sequence = changes.sequence + 1";
    CHANGES = "SELECT topic, sequence FROM changes";
}
