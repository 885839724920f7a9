//! `chancery restore`: a database from a backup, checked before anybody is served from it.
//!
//! On SQLite everything happens in a copy that is then moved into place. On PostgreSQL `pg_restore`
//! works in one transaction; what was issued is ended right after it, before the long checks, and what
//! does not stand these is dropped again. No server may run meanwhile.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use flows::{
    Clock, SystemClock, SystemRandom,
    backup::{Operator, Settlement, open_everything, settle},
};
use indicatif::{ProgressBar, ProgressStyle};
use keys::{SealFault, Sealer};
use serde_json::json;
use store::{
    SchemaState, Store, StoreOptions,
    backup::{Counts, Ended, connected_servers, is_unused},
};

use super::{
    Failure,
    answer::Answer,
    backup::{beside, cannot_write, has_schema, into_place, tables, watched},
    dump, input, operator, settings,
};
use crate::{
    cli::{Common, Confirm, backup::RestoreArgs},
    config::Settings,
};

const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// What there is after a restore.
struct Restored {
    counts: Counts,
    opened: u64,
    migrated: Vec<String>,
    ended: Ended,
    /// Where the former tables are now.
    aside: Option<String>,
}

/// Restores a backup.
///
/// # Errors
/// If the file is none, the database is not empty, or a check fails; then the database is as it was.
pub async fn run(arguments: &RestoreArgs, common: &Common) -> Result<Answer, Failure> {
    let settings = settings(common)?;
    let options =
        settings.store_options().ok_or_else(|| Failure::new("database.url is missing"))?.unhurried();
    let magic = magic(&arguments.from)?;
    if arguments.replace {
        let question = "Put the backup in the place of the database that is there?";
        input::confirm(Confirm { yes: arguments.yes }, question)?;
    }
    let restored = match options.sqlite_file() {
        Some(file) if magic.starts_with(SQLITE_MAGIC) => {
            on_sqlite(arguments, &settings, &options, &file).await?
        }
        None if magic.starts_with(dump::MAGIC) => on_postgres(arguments, &settings, &options).await?,
        engine => {
            let (is, wants) = if engine.is_some() {
                ("SQLite", "an SQLite file")
            } else {
                ("PostgreSQL", "a dump by pg_dump --format=custom")
            };
            return Err(Failure::given(format_args!(
                "{} is no backup of this engine: database.url is {is}, which wants {wants}",
                arguments.from.display()
            )));
        }
    };
    Ok(answer(arguments, &restored))
}

fn magic(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut magic = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut magic));
    read.map_err(|error| Failure::given(format_args!("{} cannot be read: {error}", path.display())))?;
    Ok(magic)
}

async fn on_sqlite(
    arguments: &RestoreArgs,
    settings: &Settings,
    options: &StoreOptions,
    target: &Path,
) -> Result<Restored, Failure> {
    let occupied = occupied(options, target).await?;
    if occupied && !arguments.replace {
        return Err(not_empty(&target.display().to_string()));
    }
    if occupied && !is_unused(options).await.map_err(Failure::new)? {
        return Err(in_use());
    }
    let (file, from) = (beside(target)?, arguments.from.clone());
    let (copy, size) = (file.path().to_owned(), fs::metadata(&from).map(|file| file.len()).ok());
    // Into the file that is there, which only its owner may read, whatever the mode of the backup.
    let copying = move || {
        let mut copy = File::options().write(true).open(copy)?;
        io::copy(&mut File::open(from)?, &mut copy).map(drop)
    };
    let copying = tokio::task::spawn_blocking(copying);
    let copying =
        async { copying.await.map_err(Failure::new)?.map_err(|error| cannot_write(target, &error)) };
    watched(copying, file.path(), size, "copied").await?;
    let store = Store::open(&options.at_file(file.path())).await.map_err(Failure::new)?;
    let checked = checked(arguments, settings, &store).await;
    store.close().await;
    let mut restored = checked?;
    // The checks took their time: a server may have been started in it.
    if self::occupied(options, target).await? != occupied
        || (occupied && !is_unused(options).await.map_err(Failure::new)?)
    {
        return Err(in_use());
    }
    if !occupied {
        if target.exists() {
            fs::remove_file(target).map_err(|error| cannot_write(target, &error))?;
        }
        into_place(file, target)?;
        return Ok(restored);
    }
    let aside = format!("{}.{}", target.display(), aside_name());
    fs::rename(target, &aside).map_err(|error| cannot_write(Path::new(&aside), &error))?;
    if let Err(failure) = into_place(file, target) {
        // Nothing is lost: if even this fails, the former database is where the message says.
        fs::rename(&aside, target).map_err(|error| cannot_write(Path::new(&aside), &error))?;
        return Err(failure);
    }
    restored.aside = Some(aside);
    Ok(restored)
}

/// Whether there is something in the file. What is left of a former one beside it would be taken for
/// the end of the restored one.
async fn occupied(options: &StoreOptions, target: &Path) -> Result<bool, Failure> {
    if fs::metadata(target).map(|file| file.len()).unwrap_or_default() > 0 {
        let store = Store::open(options).await.map_err(Failure::new)?;
        let tables = store.tables().await.map_err(Failure::new)?;
        store.close().await;
        return Ok(!tables.is_empty());
    }
    for suffix in ["-wal", "-journal"] {
        let left = format!("{}{suffix}", target.display());
        if Path::new(&left).exists() {
            return Err(Failure::new(format_args!(
                "{left} is left of a former database, and would be taken for the end of this one; move it away"
            )));
        }
    }
    Ok(false)
}

async fn on_postgres(
    arguments: &RestoreArgs,
    settings: &Settings,
    options: &StoreOptions,
) -> Result<Restored, Failure> {
    if arguments.replace && connected_servers(options).await.map_err(Failure::new)? > 0 {
        return Err(in_use());
    }
    let store = Store::open(options).await.map_err(Failure::new)?;
    let schema = store.schema_name().await.map_err(Failure::new)?;
    let schema = schema.ok_or_else(|| Failure::new("the database has no current schema"))?;
    let aside = has_schema(&store).await?.then(aside_name);
    if aside.is_some() && !arguments.replace {
        return Err(not_empty(&format!("schema {schema}")));
    }
    if let Some(aside) = &aside {
        store.move_tables(&schema, aside).await.map_err(Failure::new)?;
    }
    let restored = match undumped(arguments, options, &schema).await {
        Ok(()) => checked(arguments, settings, &store).await,
        Err(failure) => Err(failure),
    };
    let restored = match restored {
        Ok(restored) => Ok(Restored { aside: aside.map(|aside| format!("schema {aside}")), ..restored }),
        Err(failure) => {
            store.drop_tables(&schema).await.map_err(Failure::new)?;
            if let Some(aside) = &aside {
                store.move_tables(aside, &schema).await.map_err(Failure::new)?;
            }
            Err(failure)
        }
    };
    store.close().await;
    restored
}

async fn undumped(arguments: &RestoreArgs, options: &StoreOptions, schema: &str) -> Result<(), Failure> {
    let database = dump::environment(&options.url)?.into_iter().find(|(name, _)| *name == "PGDATABASE");
    let tool = [
        "--single-transaction".to_owned(),
        "--exit-on-error".to_owned(),
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        format!("--schema={schema}"),
        format!("--dbname={}", database.map(|(_, name)| name).unwrap_or_default()),
        arguments.from.display().to_string(),
    ];
    watched(dump::run("pg_restore", tool, &options.url), &arguments.from, None, "to restore").await
}

/// Everything that must be right before anybody is served; and the end of what was issued.
async fn checked(arguments: &RestoreArgs, settings: &Settings, store: &Store) -> Result<Restored, Failure> {
    if !has_schema(store).await? {
        return Err(Failure::given(format_args!(
            "{} is no backup of Chancery's, or of another schema of the database",
            arguments.from.display()
        )));
    }
    let migrated = match store.schema_state().await.map_err(Failure::new)? {
        SchemaState::Current => Vec::new(),
        SchemaState::Behind { missing } => {
            store.migrate().await.map_err(Failure::new)?;
            missing
        }
        SchemaState::Ahead { .. } | SchemaState::Contracted { .. } => {
            return Err(Failure::new(
                "the backup is of a later release; restore it with that release or a later one",
            ));
        }
    };
    // First of all: if what follows is broken off, nothing that was ended since the backup works again.
    let settlement = if arguments.as_it_was {
        Settlement::AsItWas
    } else {
        Settlement::End { consents: arguments.end_consents }
    };
    let operator = Operator { name: operator::name(), clock: &SystemClock, random: &SystemRandom };
    let ended = settle(store, &operator, settlement).await.map_err(Failure::new)?;
    let damage = store.damage().await.map_err(Failure::new)?;
    if !damage.is_empty() {
        return Err(Failure::new(format_args!("the backup is damaged: {}", damage.join("; "))));
    }
    read_all(store).await?;
    let opened = opened(settings, store).await?;
    let counts = store.counts().await.map_err(Failure::new)?;
    Ok(Restored { counts, opened, migrated, ended, aside: None })
}

async fn read_all(store: &Store) -> Result<(), Failure> {
    let counts = store.counts().await.map_err(Failure::new)?;
    let bar = ProgressBar::new(counts.iter().map(|(_, rows)| rows).sum());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} rows checked") {
        bar.set_style(style);
    }
    let read = store.read_everything(&|rows| bar.inc(rows)).await;
    bar.finish_and_clear();
    read.map(drop)
        .map_err(|error| Failure::new(format_args!("the backup has a row that can't be read: {error}")))
}

async fn opened(settings: &Settings, store: &Store) -> Result<u64, Failure> {
    let key = settings.key_encryption_key();
    let key = key.ok_or_else(|| Failure::new("secrets.key_encryption_key is missing"))?;
    let opened = open_everything(store, &Sealer::new(&key, &[])).await.map_err(Failure::new)?;
    opened.map_err(|unopened| match unopened.why {
        SealFault::UnknownKey => Failure::new(format_args!(
            "the backup was made under another key-encryption key than secrets.key_encryption_key: {unopened}\n    \
             Configure the key of that time. Without it the signing keys and authenticators in the backup are \
             lost; docs/operations.md says what can be done then."
        )),
        _ => Failure::new(unopened),
    })
}

fn aside_name() -> String {
    format!("replaced_{}", SystemClock.now().format("%Y%m%d_%H%M%S"))
}

fn not_empty(what: &str) -> Failure {
    Failure::new(format_args!(
        "{what} is not empty; nothing was changed\n    Restore into a new database. --replace puts the backup in \
         the place of this one, and keeps its tables aside."
    ))
}

fn in_use() -> Failure {
    Failure::new("a server, or another command, has the database open; stop it first. Nothing was changed")
}

fn answer(arguments: &RestoreArgs, restored: &Restored) -> Answer {
    let Restored { counts, opened, migrated, ended, aside } = restored;
    let rows: u64 = counts.iter().map(|(_, rows)| rows).sum();
    let mut text = vec![format!(
        "{rows} rows are restored from {}; {opened} sealed records open with the key-encryption key",
        arguments.from.display()
    )];
    if !migrated.is_empty() {
        text.push(format!("the schema was brought up to date: {}", migrated.join(", ")));
    }
    if arguments.as_it_was {
        text.push(
            "nothing was ended: what was issued before the backup is as good as it was then".to_owned(),
        );
    } else {
        text.push(format!(
            "ended: {} sessions, {} grants with their tokens, {} tokens of clients, {} consents",
            ended.sessions, ended.grants, ended.client_tokens, ended.consents
        ));
    }
    if let Some(aside) = aside {
        text.push(format!("the former database is kept in {aside}"));
    }
    let json = json!({
        "from": arguments.from,
        "rows": rows,
        "tables": tables(counts),
        "sealed_records_opened": opened,
        "migrated": migrated,
        "as_it_was": arguments.as_it_was,
        "ended": {
            "sessions": ended.sessions,
            "grants": ended.grants,
            "client_tokens": ended.client_tokens,
            "interactions": ended.interactions,
            "consents": ended.consents,
        },
        "former_kept_in": aside,
    });
    let answer = Answer::new(text.join("\n"), json);
    if arguments.as_it_was {
        return answer;
    }
    answer.note(
        "What happened since the backup is lost: withdrawn consents, changed passwords and secrets, disabled \
         users, revoked keys.\nDo it again before you serve; docs/operations.md tells how to find it.",
    )
}
