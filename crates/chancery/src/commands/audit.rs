//! `chancery audit …`

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
    time::Duration,
};

use audit::Event;
use chrono::{DateTime, TimeDelta, Utc};
use flows::{Clock, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::UserId;
use serde_json::json;
use store::{AuditFilter, Store};
use uuid::Uuid;

use super::{
    Failure,
    answer::{Answer, Table, clean, time},
    operator::with_store,
    people::People,
    say, users,
};
use crate::cli::{
    Common,
    audit::{AuditCommand, AuditConditions},
};

/// How often `tail` looks.
const POLL: Duration = Duration::from_secs(1);
/// How far `tail` looks back each time: an event of a slow transaction comes behind later ones.
const LATE: TimeDelta = TimeDelta::seconds(30);
/// How many events are read at a time.
const PAGE: u32 = 1000;

/// Runs one of them.
///
/// # Errors
/// As the exit codes say.
pub async fn run(command: &AuditCommand, common: &Common) -> Result<Answer, Failure> {
    with_store(common, async |store| match command {
        AuditCommand::Tail { lines, filter } => {
            let filter = resolve(store, filter, None).await?;
            tokio::select! {
                done = tail(store, filter, *lines, common.json) => done,
                _ = tokio::signal::ctrl_c() => Ok(Answer::nothing()),
            }
        }
        AuditCommand::Search { filter, before, limit } => {
            search(store, &resolve(store, filter, *before).await?, *limit).await
        }
        AuditCommand::Export { filter, output } => {
            let filter = resolve(store, filter, None).await?;
            match output {
                Some(path) => export_to_file(store, filter, path).await,
                None => {
                    export(store, &filter, &mut io::stdout().lock(), &ProgressBar::hidden()).await?;
                    Ok(Answer::nothing())
                }
            }
        }
    })
    .await
}

async fn resolve(
    store: &Store,
    conditions: &AuditConditions,
    before: Option<Uuid>,
) -> Result<AuditFilter, Failure> {
    let now = SystemClock.now();
    let user = match conditions.user.as_deref() {
        None => None,
        // Events outlive the users that they tell of.
        Some(text) => match text.parse::<UserId>() {
            Ok(id) => Some(id),
            Err(_) => Some(users::named(store, text).await?.id),
        },
    };
    Ok(AuditFilter {
        user,
        client: conditions.client.clone(),
        kind: conditions.kind,
        outcome: conditions.outcome,
        correlation: conditions.correlation,
        since: conditions.since.map(|moment| moment.resolve(now)),
        until: conditions.until.map(|moment| moment.resolve(now)),
        before,
    })
}

async fn search(store: &Store, filter: &AuditFilter, limit: u32) -> Result<Answer, Failure> {
    let mut events = store.audit_events(filter, limit.saturating_add(1)).await.map_err(Failure::new)?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let mut people = People::new(store);
    let mut table = Table::new(["TIME", "EVENT", "OUTCOME", "ACTOR", "USER", "CLIENT", "ADDRESS", "MORE"]);
    for event in &events {
        table.row(cells(event, &mut people).await?);
    }
    let answer = table.answer(super::answer::json(&events));
    Ok(match events.last().filter(|_| more) {
        Some(last) => answer.note(format_args!("there are more: --before {}", last.id)),
        None => answer,
    })
}

async fn cells(event: &Event, people: &mut People<'_>) -> Result<[String; 8], Failure> {
    let user = match event.user {
        Some(id) => people.name(id).await?,
        None => String::new(),
    };
    Ok([
        time(event.at),
        event.kind.to_string(),
        event.outcome.to_string(),
        event.actor.to_string(),
        user,
        event.client.as_ref().map(ToString::to_string).unwrap_or_default(),
        event.address.map(|address| address.to_string()).unwrap_or_default(),
        more(event),
    ])
}

/// The reason, then the details.
fn more(event: &Event) -> String {
    let details = event.detail.iter().map(|(name, value)| format!("{name}={value}"));
    event.reason.iter().cloned().chain(details).collect::<Vec<_>>().join(" ")
}

async fn tail(store: &Store, mut filter: AuditFilter, lines: u32, as_json: bool) -> Result<Answer, Failure> {
    let mut people = People::new(store);
    let mut seen = Seen::default();
    let mut events = store.audit_events(&filter, lines).await.map_err(Failure::new)?;
    events.reverse();
    let started = SystemClock.now();
    // What happened before is shown only as far as was asked for.
    let skipped = AuditFilter { since: Some(started - LATE), ..filter.clone() };
    for event in store.audit_events(&skipped, PAGE).await.map_err(Failure::new)? {
        seen.insert(&event);
    }
    loop {
        for event in &events {
            seen.insert(event);
            if as_json {
                say(serde_json::to_string(event).map_err(Failure::new)?)?;
            } else {
                say(line(&cells(event, &mut people).await?))?;
            }
        }
        tokio::time::sleep(POLL).await;
        let since = SystemClock.now() - LATE;
        filter.since = filter.since.max(Some(since));
        events = fresh(store, &filter, &seen).await?;
        seen.forget_before(since - LATE);
    }
}

/// The events that were not shown yet, oldest first.
async fn fresh(store: &Store, filter: &AuditFilter, seen: &Seen) -> Result<Vec<Event>, Failure> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.audit_events_after(filter, after, PAGE).await.map_err(Failure::new)?;
        let full = page.len() == PAGE as usize;
        after = page.last().map(|event| event.id);
        found.extend(page.into_iter().filter(|event| !seen.0.contains(&(event.at, event.id))));
        if !full {
            return Ok(found);
        }
    }
}

/// The events of the last while that were shown.
#[derive(Default)]
struct Seen(HashSet<(DateTime<Utc>, Uuid)>);

impl Seen {
    fn insert(&mut self, event: &Event) {
        self.0.insert((event.at, event.id));
    }

    fn forget_before(&mut self, end: DateTime<Utc>) {
        self.0.retain(|(at, _)| *at >= end);
    }
}

/// One event on one line, in columns that later ones will share.
fn line(cells: &[String; 8]) -> String {
    let [at, kind, outcome, actor, user, client, address, more] = cells.each_ref().map(|cell| clean(cell));
    let line = format!(
        "{at}  {kind:<28}  {outcome:<7}  {actor:<8}  {user:<16}  {client:<16}  {address:<15}  {more}"
    );
    line.trim_end().to_owned()
}

async fn export_to_file(store: &Store, mut filter: AuditFilter, path: &Path) -> Result<Answer, Failure> {
    let cannot = |error| Failure::new(format_args!("{} cannot be written: {error}", path.display()));
    let file = create(path).map_err(cannot)?;
    // What happens meanwhile is for the next export.
    filter.until = filter.until.or(Some(SystemClock.now()));
    let total = store.count_audit_events(&filter).await.map_err(Failure::new)?;
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or_default());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} events  {per_sec}  {eta} left")
    {
        bar.set_style(style);
    }
    let mut writer = BufWriter::new(file);
    let count = export(store, &filter, &mut writer, &bar).await?;
    writer.into_inner().map_err(|error| cannot(error.into_error()))?.sync_all().map_err(cannot)?;
    bar.finish_and_clear();
    let text = format!("{count} events are in {}", path.display());
    Ok(Answer::new(text, json!({ "events": count, "file": path })))
}

/// Makes the file; what is there already is never overwritten.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes events as JSON lines, oldest first. Gives how many.
async fn export(
    store: &Store,
    filter: &AuditFilter,
    writer: &mut impl Write,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let mut count = 0;
    let mut after = None;
    loop {
        let page = store.audit_events_after(filter, after, PAGE).await.map_err(Failure::new)?;
        for event in &page {
            serde_json::to_writer(&mut *writer, event).map_err(|error| Failure::writing(&error.into()))?;
            writer.write_all(b"\n").map_err(|error| Failure::writing(&error))?;
        }
        let read = page.len() as u64;
        count += read;
        bar.inc(read);
        after = page.last().map(|event| event.id);
        if read < u64::from(PAGE) {
            writer.flush().map_err(|error| Failure::writing(&error))?;
            return Ok(count);
        }
    }
}
