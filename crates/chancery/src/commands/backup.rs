//! `chancery backup`: a copy of the database, as it is at one moment, while servers go on.
//!
//! The copy is made beside its place under another name, readable by its owner only, checked, and
//! moved into place whole: a file of that name is a good backup or none.

use std::{
    fs::File,
    future::Future,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use flows::{
    Clock, SystemClock, SystemRandom,
    backup::{Operator, record_copy},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use store::{
    Store, StoreOptions,
    backup::{Counts, Snapshot, copy_sqlite, known_tables},
};
use tempfile::NamedTempFile;

use super::{
    Failure,
    answer::{Answer, time},
    database, dump, operator, settings,
};
use crate::cli::{Common, backup::BackupArgs};

const KEEP: &str =
    "It is of use only with the key-encryption key and the password pepper. Keep them too, elsewhere.";

/// Takes a copy.
///
/// # Errors
/// If there is a file of that name, or the copy can't be made; then there is none.
pub async fn run(arguments: &BackupArgs, common: &Common) -> Result<Answer, Failure> {
    let to = &arguments.to;
    if to.symlink_metadata().is_ok() {
        return Err(Failure::new(format_args!("{} exists; nothing was overwritten", to.display())));
    }
    let settings = settings(common)?;
    let options =
        settings.store_options().ok_or_else(|| Failure::new("database.url is missing"))?.unhurried();
    let store = database::connect(&settings).await?;
    if !has_schema(&store).await? {
        return Err(Failure::new("the database has no schema of Chancery's; there is nothing to back up"));
    }
    let (at, file) = (SystemClock.now(), beside(to)?);
    let counts = match store.snapshot().await.map_err(Failure::new)? {
        Some(snapshot) => dumped(&options, snapshot, &file).await?,
        None => copied(&options, &store, &file).await?,
    };
    let bytes = file.as_file().metadata().map_err(|error| cannot_write(to, &error))?.len();
    into_place(file, to)?;
    let operator = Operator { name: operator::name(), clock: &SystemClock, random: &SystemRandom };
    record_copy(&store, &operator, &to.display().to_string()).await.map_err(|error| {
        Failure::new(format_args!(
            "{} is good, but the audit trail does not tell of it: {error}",
            to.display()
        ))
    })?;
    store.close().await;
    let rows: u64 = counts.iter().map(|(_, rows)| rows).sum();
    let text = format!("{rows} rows, as of {}, are in {} ({bytes} bytes)", time(at), to.display());
    let json = json!({ "file": to, "at": time(at), "bytes": bytes, "rows": rows, "tables": tables(&counts) });
    Ok(Answer::new(text, json).note(KEEP))
}

/// Whether it is a database of ours at all.
///
/// # Errors
/// If it does not answer.
pub async fn has_schema(store: &Store) -> Result<bool, Failure> {
    let tables = store.tables().await.map_err(Failure::new)?;
    Ok(known_tables().iter().any(|known| tables.iter().any(|table| table == known)))
}

/// SQLite copies itself; then the copy is checked as a database.
async fn copied(options: &StoreOptions, store: &Store, file: &NamedTempFile) -> Result<Counts, Failure> {
    let size = store.copy_size().await.map_err(Failure::new)?;
    let copying = async { copy_sqlite(options, file.path()).await.map_err(Failure::new) };
    watched(copying, file.path(), size, "copied").await?;
    let copy = Store::open(&options.at_file(file.path())).await.map_err(Failure::new)?;
    let damage = copy.damage().await.map_err(Failure::new)?;
    let counts = copy.counts().await.map_err(Failure::new)?;
    copy.close().await;
    if damage.is_empty() {
        return Ok(counts);
    }
    Err(Failure::new(format_args!("the copy is damaged, so the database is, too: {}", damage.join("; "))))
}

/// `pg_dump` copies the moment that is held; then `pg_restore` reads it all.
async fn dumped(options: &StoreOptions, snapshot: Snapshot, file: &NamedTempFile) -> Result<Counts, Failure> {
    let path = file.path().display();
    let arguments = [
        "--format=custom".to_owned(),
        "--no-owner".to_owned(),
        "--no-privileges".to_owned(),
        // A pattern, in which quotes make a name stand for itself.
        format!("--schema=\"{}\"", snapshot.schema),
        format!("--snapshot={}", snapshot.id),
        format!("--file={path}"),
    ];
    watched(dump::run("pg_dump", arguments, &options.url), file.path(), None, "dumped").await?;
    dump::verify(file.path(), &options.url).await?;
    Ok(snapshot.counts)
}

/// A file in the directory of `path` that nobody else can read, and that goes unless it is put into
/// place.
///
/// # Errors
/// If it can't be made.
pub fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".chancery-").suffix(".partial");
    builder.tempfile_in(directory(path)).map_err(|error| cannot_write(path, &error))
}

fn directory(path: &Path) -> PathBuf {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Moves a finished file into its place, where there must be none, for good.
///
/// # Errors
/// If somebody was quicker, or the disk does not answer.
pub fn into_place(file: NamedTempFile, path: &Path) -> Result<(), Failure> {
    let cannot = |error: io::Error| cannot_write(path, &error);
    file.as_file().sync_all().map_err(cannot)?;
    file.persist_noclobber(path).map_err(|error| cannot(error.error))?;
    File::open(directory(path)).and_then(|directory| directory.sync_all()).map_err(cannot)
}

/// That a file can't be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("{} cannot be written: {error}", path.display()))
}

/// Runs something that fills a file, and shows at a terminal how far it is. Ctrl-C ends it cleanly.
///
/// # Errors
/// Those of what is run.
pub async fn watched(
    work: impl Future<Output = Result<(), Failure>>,
    file: &Path,
    size: Option<u64>,
    word: &str,
) -> Result<(), Failure> {
    let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match size {
        Some(_) => format!("{{bar:30}} {{bytes}} of {{total_bytes}} {word}"),
        None => format!("{{spinner}} {{bytes}} {word}"),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    let mut work = std::pin::pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = tokio::signal::ctrl_c() => break Err(Failure::new("interrupted; nothing was left")),
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                bar.set_position(file.metadata().map(|file| file.len()).unwrap_or_default());
            }
        }
    };
    bar.finish_and_clear();
    done
}

/// Rows by table, for programs.
pub fn tables(counts: &Counts) -> Value {
    let members: Map<String, Value> =
        counts.iter().map(|(table, rows)| ((*table).to_owned(), (*rows).into())).collect();
    Value::Object(members)
}
