//! What backup and restore need of a database: one consistent picture, how much is in it, whether
//! every row can be read, and the end of whatever was issued from it.
//!
//! On SQLite the copy is made here. On PostgreSQL it is made by `pg_dump`, of a [`Snapshot`] that is
//! held open for it, so that the counts are those of the copy.

use std::{path::Path, path::PathBuf, str::FromStr};

use chrono::{DateTime, Utc};
use jose::Digest;
use protocol::{GrantId, InteractionId, SessionId, TokenId, UserId};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Postgres, SqlSafeStr, Transaction, postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use uuid::Uuid;

use crate::{
    AuditFilter, ConsentFilter, Store, StoreError, StoreOptions, Tx, UserFilter,
    engine::{all, change, on_store, on_tx, scalar},
    error::Result,
    row::{Micros, Row},
    sql::backup as statement,
};

/// Rows that are read at a time.
const PAGE: u32 = 1000;
/// Chancery's own table of what was migrated, beside those of the schema.
const MIGRATIONS: &str = "_sqlx_migrations";

/// How many rows each table has, in the order of the schema.
pub type Counts = Vec<(&'static str, u64)>;

/// One moment of a PostgreSQL database, kept until it is dropped.
#[derive(Debug)]
pub struct Snapshot {
    /// By which other connections find it.
    pub id: String,
    /// The schema that Chancery's tables are in.
    pub schema: String,
    /// What was there at that moment.
    pub counts: Counts,
    _held: Transaction<'static, Postgres>,
}

/// What ended, so that nothing that was issued before can be used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Sessions of browsers.
    pub sessions: u64,
    /// Grants, with every code and token below them.
    pub grants: u64,
    /// Opaque tokens of clients' own.
    pub client_tokens: u64,
    /// Authorizations that waited for a person.
    pub interactions: u64,
    /// Consents, if they were to end too.
    pub consents: u64,
}

impl StoreOptions {
    /// The file of an SQLite database; `None` for the other engine.
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        let options = SqliteConnectOptions::from_str(&self.url).ok()?;
        self.url.starts_with("sqlite:").then(|| options.get_filename().to_owned())
    }

    /// The same, of another SQLite file.
    #[must_use]
    pub fn at_file(&self, file: &Path) -> Self {
        // What a URL would read otherwise.
        let file = file.display().to_string().replace('%', "%25").replace('?', "%3F");
        Self { url: format!("sqlite://{file}"), ..self.clone() }
    }
}

/// Copies an SQLite database, as it is at one moment, into a file that is empty or absent. Whoever
/// uses the database is not disturbed.
///
/// # Errors
/// [`StoreError`].
pub async fn copy_sqlite(options: &StoreOptions, to: &Path) -> Result<()> {
    let mut connection = sqlite(options).await?;
    let to = to.to_str().ok_or(StoreError::Url("must name a file in UTF-8"))?;
    sqlx::query(statement::SQLITE_COPY).bind(to).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Whether nobody has the SQLite database open. Its write-ahead log is then part of the file.
///
/// # Errors
/// [`StoreError`] for anything but a lock.
pub async fn is_unused(options: &StoreOptions) -> Result<bool> {
    let mut connection = sqlite(options).await?;
    let mode = sqlx::query_scalar::<_, String>(statement::SQLITE_ALONE).fetch_one(&mut connection).await;
    let alone = match mode.map_err(StoreError::from) {
        Ok(mode) => mode.eq_ignore_ascii_case("delete"),
        Err(StoreError::Contended(_)) => false,
        Err(other) => return Err(other),
    };
    connection.close().await?;
    Ok(alone)
}

async fn sqlite(options: &StoreOptions) -> Result<sqlx::SqliteConnection> {
    let options = SqliteConnectOptions::from_str(&options.url)
        .map_err(|_| StoreError::Url("is not an SQLite URL"))?
        .busy_timeout(options.acquire_timeout);
    Ok(options.connect().await?)
}

/// How many connections servers have to this PostgreSQL database.
///
/// # Errors
/// [`StoreError`].
pub async fn connected_servers(options: &StoreOptions) -> Result<i64> {
    let options = PgConnectOptions::from_str(&options.url)
        .map_err(|_| StoreError::Url("is not a PostgreSQL URL"))?
        .application_name("chancery restore");
    let mut connection = options.connect().await?;
    let count = sqlx::query_scalar(statement::POSTGRES_SERVERS).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(count)
}

impl Store {
    /// Holds one moment of a PostgreSQL database; `None` on SQLite, which copies itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn snapshot(&self) -> Result<Option<Snapshot>> {
        let Self::Postgres(pool, _) = self else { return Ok(None) };
        let mut held = pool.begin_with(statement::POSTGRES_SNAPSHOT).await?;
        let (id, schema) = sqlx::query_as(statement::POSTGRES_EXPORT).fetch_one(&mut *held).await?;
        let mut counts = Vec::new();
        for (table, count) in statement::TABLES.iter().copied() {
            let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *held).await?;
            counts.push((table, u64::try_from(rows).unwrap_or_default()));
        }
        Ok(Some(Snapshot { id, schema, counts, _held: held }))
    }

    /// About how many bytes a copy has; unknown on PostgreSQL, whose dumps are compressed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn copy_size(&self) -> Result<Option<u64>> {
        let Self::Sqlite(pools) = self else { return Ok(None) };
        let size: i64 = sqlx::query_scalar(statement::SQLITE_SIZE).fetch_one(&pools.reader).await?;
        Ok(u64::try_from(size).ok())
    }

    /// What is wrong with the file, as SQLite's own check sees it; PostgreSQL looks after itself.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn damage(&self) -> Result<Vec<String>> {
        let Self::Sqlite(pools) = self else { return Ok(Vec::new()) };
        let mut found: Vec<String> =
            sqlx::query_scalar(statement::SQLITE_INTEGRITY).fetch_all(&pools.reader).await?;
        found.retain(|line| line != "ok");
        let orphans: i64 = sqlx::query_scalar(statement::SQLITE_ORPHANS).fetch_one(&pools.reader).await?;
        if orphans > 0 {
            found.push(format!("{orphans} rows belong to others that are missing"));
        }
        Ok(found)
    }

    /// The names of the tables that there are, Chancery's or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tables(&self) -> Result<Vec<String>> {
        Ok(match self {
            Self::Postgres(pool, _) => sqlx::query_scalar(statement::POSTGRES_TABLES).fetch_all(pool).await?,
            Self::Sqlite(pools) => {
                sqlx::query_scalar(statement::SQLITE_TABLES).fetch_all(&pools.reader).await?
            }
        })
    }

    /// The schema that Chancery's tables are in; `None` on SQLite.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn schema_name(&self) -> Result<Option<String>> {
        let Self::Postgres(pool, _) = self else { return Ok(None) };
        Ok(sqlx::query_scalar(statement::POSTGRES_SCHEMA).fetch_one(pool).await?)
    }

    /// Moves every table of Chancery's from one PostgreSQL schema to another, which is made if it is
    /// missing. Does nothing on SQLite.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was moved.
    pub async fn move_tables(&self, from: &str, to: &str) -> Result<()> {
        let Self::Postgres(pool, _) = self else { return Ok(()) };
        let (from, to) = (quoted(from), quoted(to));
        let mut tx = pool.begin().await?;
        run(&mut tx, format!("CREATE SCHEMA IF NOT EXISTS {to}")).await?;
        for table in own_tables() {
            run(&mut tx, format!("ALTER TABLE IF EXISTS {from}.{table} SET SCHEMA {to}")).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Drops every table of Chancery's in a PostgreSQL schema: those of a restore that failed. Does
    /// nothing on SQLite.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was dropped.
    pub async fn drop_tables(&self, schema: &str) -> Result<()> {
        let Self::Postgres(pool, _) = self else { return Ok(()) };
        let schema = quoted(schema);
        let mut tx = pool.begin().await?;
        for table in own_tables() {
            run(&mut tx, format!("DROP TABLE IF EXISTS {schema}.{table} CASCADE")).await?;
        }
        Ok(tx.commit().await?)
    }

    /// How many rows each table has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts(&self) -> Result<Counts> {
        let mut counts = Vec::new();
        for (table, count) in statement::TABLES.iter().copied() {
            let rows = scalar!(self, i64, count)?;
            counts.push((table, u64::try_from(rows).unwrap_or_default()));
        }
        Ok(counts)
    }

    /// Reads every row as the server would, and gives how many it read. `tick` is told of each page.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the first row that this release can't read.
    pub async fn read_everything(&self, tick: &(dyn Fn(u64) + Sync)) -> Result<u64> {
        let declared = self.clients().await?.len()
            + self.scopes().await?.len()
            + self.resource_servers().await?.len()
            + self.detail_types().await?.len()
            + self.roles().await?.len()
            + self.signing_keys().await?.len();
        self.changes().await?;
        tick(declared as u64);
        let lists = self.read_lists(tick).await?;
        let keyed = self.read_by_id(tick).await? + self.read_by_digest(tick).await?;
        Ok(declared as u64 + lists + keyed)
    }

    /// What is read in pages anyway.
    async fn read_lists(&self, tick: &(dyn Fn(u64) + Sync)) -> Result<u64> {
        let mut read = 0;
        let mut users = UserFilter::default();
        loop {
            let page = self.users_page(&users, PAGE).await?;
            for user in &page {
                self.totp(user.id).await?;
                self.recovery_codes_left(user.id).await?;
                self.accounts_of(user.id).await?;
            }
            read += counted(page.len(), tick);
            let Some(last) = page.last() else { break };
            users.after = Some(last.username.to_string());
        }
        let mut consents = ConsentFilter::default();
        loop {
            let page = self.consents_page(&consents, PAGE).await?;
            read += counted(page.len(), tick);
            let Some(last) = page.last() else { break };
            consents.before = Some(last.id);
        }
        let (events, mut after) = (AuditFilter::default(), None);
        loop {
            let page = self.audit_events_after(&events, after, PAGE).await?;
            read += counted(page.len(), tick);
            let Some(last) = page.last() else { break };
            after = Some(last.id);
        }
        Ok(read)
    }

    async fn read_by_id(&self, tick: &(dyn Fn(u64) + Sync)) -> Result<u64> {
        let mut read = 0;
        for keys in [
            statement::SESSION_KEYS,
            statement::INTERACTION_KEYS,
            statement::GRANT_KEYS,
            statement::DENIED_KEYS,
        ] {
            let mut last: Option<Uuid> = None;
            loop {
                let page = all!(self, (Uuid,), keys, last, i64::from(PAGE))?;
                for (id,) in page.iter().copied() {
                    match keys {
                        statement::SESSION_KEYS => {
                            self.session(SessionId(id)).await?;
                            self.participants(SessionId(id)).await?;
                        }
                        statement::INTERACTION_KEYS => drop(self.interaction(InteractionId(id)).await?),
                        statement::GRANT_KEYS => drop(self.grant_line(GrantId(id)).await?),
                        _ => drop(self.is_denied(TokenId(id)).await?),
                    }
                }
                read += counted(page.len(), tick);
                let Some((id,)) = page.last() else { break };
                last = Some(*id);
            }
        }
        Ok(read)
    }

    async fn read_by_digest(&self, tick: &(dyn Fn(u64) + Sync)) -> Result<u64> {
        let mut read = 0;
        for keys in
            [statement::CODE_KEYS, statement::REFRESH_KEYS, statement::ACCESS_KEYS, statement::ATTEMPT_KEYS]
        {
            let mut last: Option<Vec<u8>> = None;
            loop {
                let page = all!(self, (Vec<u8>,), keys, last.as_deref(), i64::from(PAGE))?;
                for (bytes,) in &page {
                    let row = Row::new("(any)", &"(a digest)");
                    let digest: Digest = row.digest("digest", bytes)?;
                    match keys {
                        statement::CODE_KEYS => drop(self.code(&digest).await?),
                        statement::REFRESH_KEYS => drop(self.refresh_token(&digest).await?),
                        statement::ACCESS_KEYS => drop(self.access_token(&digest).await?),
                        _ => drop(self.attempts(&digest).await?),
                    }
                }
                read += counted(page.len(), tick);
                let Some((bytes,)) = page.last() else { break };
                last = Some(bytes.clone());
            }
        }
        Ok(read)
    }

    /// At most so many users with an authenticator, after this one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn totp_users(&self, after: Option<UserId>, limit: u32) -> Result<Vec<UserId>> {
        let rows = all!(self, (Uuid,), statement::TOTP_KEYS, after.map(|user| user.0), i64::from(limit))?;
        Ok(rows.into_iter().map(|(id,)| UserId(id)).collect())
    }
}

fn counted(rows: usize, tick: &(dyn Fn(u64) + Sync)) -> u64 {
    tick(rows as u64);
    rows as u64
}

/// The tables of the schema and the one of its migrations.
fn own_tables() -> impl Iterator<Item = &'static str> {
    statement::TABLES.iter().map(|(table, _)| *table).chain([MIGRATIONS])
}

/// An identifier as SQL reads it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Runs a statement that is made of our own names and quoted identifiers.
async fn run(tx: &mut Transaction<'static, Postgres>, sql: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(sql).into_sql_str()).execute(&mut **tx).await?;
    Ok(())
}

impl Tx {
    /// Ends everything that was issued and is still alive at `at`: sessions, whose clients are going to be
    /// told, grants with what is below them, tokens of clients' own, open authorizations, pushed ones and
    /// those of devices, ways to upstream providers; and lets no one-time password of step `totp_step` or
    /// before count. Consents too, if `consents`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_everything(
        &mut self,
        at: DateTime<Utc>,
        totp_step: i64,
        consents: bool,
    ) -> Result<Ended> {
        let moment = at;
        let at = at.us();
        change!(self, statement::PASS_TOTP_STEPS, totp_step)?;
        for statement in
            [statement::END_UPSTREAM_ATTEMPTS, statement::END_PUSHED_REQUESTS, statement::END_DEVICE_CODES]
        {
            self.end(statement, at).await?;
        }
        let sessions = self.end(statement::END_SESSIONS, at).await?;
        self.tell_of_all(moment).await?;
        Ok(Ended {
            sessions,
            grants: self.end(statement::END_GRANTS, at).await?,
            client_tokens: self.end(statement::END_CLIENT_TOKENS, at).await?,
            interactions: self.end(statement::END_INTERACTIONS, at).await?,
            consents: if consents { self.end(statement::END_CONSENTS, at).await? } else { 0 },
        })
    }

    async fn end(&mut self, statement: &'static str, at: DateTime<Utc>) -> Result<u64> {
        change!(self, statement, at)
    }
}

/// The tables that this release knows.
pub fn known_tables() -> Vec<&'static str> {
    own_tables().collect()
}
