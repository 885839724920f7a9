//! What processes cost, read from /proc: CPU time of all threads, and resident memory.

use std::fs;

/// Clock ticks per second of /proc; 100 on every Linux that runs this.
const TICKS: f64 = 100.0;

/// CPU seconds that a process and its descendants have used.
pub fn seconds(root: u32) -> f64 {
    let mut total = 0.0;
    let mut waiting = vec![root];
    let all = processes();
    while let Some(pid) = waiting.pop() {
        waiting.extend(all.iter().filter(|(_, parent, _)| *parent == pid).map(|(child, ..)| *child));
        total += all.iter().find(|(known, ..)| *known == pid).map_or(0.0, |(.., ticks)| *ticks);
    }
    total / TICKS
}

/// CPU seconds that a process's threads for password hashes have used.
pub fn hashing(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ticks = threads.filter_map(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let used =
            || rest.split(' ').skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum::<f64>();
        name.ends_with("(password-hash").then(used)
    });
    ticks.sum::<f64>() / TICKS
}

/// Process, parent and used ticks (its reaped children's included) of everything that runs.
fn processes() -> Vec<(u32, u32, f64)> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = fields.get(11..15)?.iter().filter_map(|text| text.parse::<f64>().ok()).sum();
        Some((pid, fields.get(1)?.parse().ok()?, ticks))
    })
    .collect()
}

/// Resident memory of a process in MiB.
pub fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
