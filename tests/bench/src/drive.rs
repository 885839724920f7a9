//! Driving the server: closed loops on keep-alive connections, for a fixed time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::cpu;

/// What one measurement found.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Requests (or flows) that were answered as expected.
    pub done: usize,
    /// Those that were not.
    pub failed: usize,
    /// Server CPU per request, in microseconds.
    pub server: f64,
    /// What of it the threads that hash passwords used.
    pub hashing: f64,
    /// PostgreSQL's CPU per request, in microseconds.
    pub postgres: Option<f64>,
    /// Requests per second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50: f64,
    /// 99th percentile in microseconds.
    pub p99: f64,
    /// Resident memory at the end, in MiB.
    pub resident: f64,
}

/// The processes whose CPU is counted.
#[derive(Clone, Copy, Debug)]
pub struct Processes {
    /// The server.
    pub server: u32,
    /// The postmaster.
    pub postgres: Option<u32>,
}

/// CPU seconds since the processes began.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    server: f64,
    hashing: f64,
    postgres: Option<f64>,
}

impl Processes {
    /// The CPU seconds that they have used.
    pub fn used(self) -> Used {
        Used {
            server: cpu::seconds(self.server),
            hashing: cpu::hashing(self.server),
            postgres: self.postgres.map(cpu::seconds),
        }
    }
}

/// One loop of a scenario: answers whether the request went as expected.
pub trait Work: Send + 'static {
    /// One request, or one flow.
    fn once(&mut self) -> impl Future<Output = bool> + Send;
}

/// Runs one loop per worker: first to warm up, then measured.
pub async fn measure<W: Work>(
    workers: Vec<W>,
    processes: Processes,
    warm: Duration,
    time: Duration,
) -> Figures {
    let (workers, ..) = run(workers, warm).await;
    let before = processes.used();
    let began = now();
    let (_, latencies, failed) = run(workers, time).await;
    figures(latencies, failed, began.elapsed(), processes, before)
}

/// Sums up what was measured in `wall`; `before` is what the processes had used when it began.
pub fn figures(
    mut latencies: Vec<Duration>,
    failed: usize,
    wall: Duration,
    processes: Processes,
    before: Used,
) -> Figures {
    let after = processes.used();
    latencies.sort_unstable();
    let done = latencies.len();
    let per = |seconds: f64| seconds * 1e6 / (done + failed).max(1) as f64;
    let at = |share: f64| {
        let index = ((done as f64 * share) as usize).min(done.saturating_sub(1));
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    Figures {
        done,
        failed,
        server: per(after.server - before.server),
        hashing: per(after.hashing - before.hashing),
        postgres: after.postgres.zip(before.postgres).map(|(after, before)| per(after - before)),
        rate: done as f64 / wall.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        resident: cpu::resident(processes.server),
    }
}

async fn run<W: Work>(workers: Vec<W>, time: Duration) -> (Vec<W>, Vec<Duration>, usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let (mut latencies, mut failed) = (Vec::new(), 0);
                while !stop.load(Ordering::Relaxed) {
                    let began = now();
                    if worker.once().await { latencies.push(began.elapsed()) } else { failed += 1 }
                }
                (worker, latencies, failed)
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let (mut workers, mut latencies, mut failed) = (Vec::new(), Vec::new(), 0);
    for task in tasks {
        let (worker, some, lost) = task.await.expect("a worker ends with its loop");
        workers.push(worker);
        latencies.extend(some);
        failed += lost;
    }
    (workers, latencies, failed)
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the machine's clock")]
pub fn now() -> Instant {
    Instant::now()
}
