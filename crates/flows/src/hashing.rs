//! The threads that hash passwords.
//!
//! A hash holds a core for tens of milliseconds. On threads as important as those that answer requests, a
//! rush of logins would make every other endpoint wait for its turn. These threads step back: they have all
//! that nobody else wants, and a request that wakes up gets a core at once. (A mere `nice` value is a share,
//! not a turn: the scheduler lets such a thread end its slice of milliseconds first.)

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use mfa::HashMemory;
use tokio::sync::oneshot;

/// Each thread keeps its memory from one hash to the next.
type Job = Box<dyn FnOnce(&mut HashMemory) + Send>;

/// No more than this are started, whatever is configured.
const MOST: usize = 256;

/// So many threads. They end when this is dropped.
#[derive(Clone)]
pub(crate) struct HashingThreads(Sender<Job>);

impl HashingThreads {
    /// Starts them.
    pub(crate) fn start(count: usize) -> Self {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count.min(MOST) {
            let queue = queue.clone();
            let started =
                thread::Builder::new().name("password-hash".to_owned()).spawn(move || serve(&queue));
            if let Err(error) = started {
                tracing::error!(%error, "a thread that hashes passwords could not be started");
            }
        }
        Self(jobs)
    }

    /// Runs this on one of them. `None` if it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut HashMemory) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, done) = oneshot::channel();
        let job = move |memory: &mut HashMemory| {
            // Whoever asked may be gone; what was done for them then goes nowhere.
            drop(answer.send(catch_unwind(AssertUnwindSafe(|| work(memory)))));
        };
        self.0.send(Box::new(job)).ok()?;
        let done: Result<T, Box<dyn Any + Send>> = done.await.ok()?;
        done.ok()
    }
}

fn serve(queue: &Mutex<Receiver<Job>>) {
    #[cfg(target_os = "linux")]
    if let Err(error) = step_back() {
        tracing::warn!(?error, "threads that hash passwords are as important as all others");
    }
    let mut memory = HashMemory::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&mut memory),
            Err(_) => return,
        }
    }
}

/// Everybody else goes first (`SCHED_IDLE`).
#[cfg(target_os = "linux")]
fn step_back() -> Result<(), thread_priority::Error> {
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
    };
    let idle = ThreadSchedulePolicy::Normal(Idle);
    let set = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle);
    // The policy is set first, then a `nice` value that it ignores; a process that was itself told to be
    // nice may not do the latter.
    if thread_schedule_policy() == Ok(idle) { Ok(()) } else { set }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_threads_that_step_back_and_survive_a_panic() {
        let threads = HashingThreads::start(1);
        assert_eq!(
            threads.run(|_| thread::current().name().map(str::to_owned)).await.flatten().unwrap(),
            "password-hash"
        );
        assert_eq!(threads.run(|_| -> u8 { std::panic::resume_unwind(Box::new("no")) }).await, None);
        assert_eq!(threads.run(|_| 7).await, Some(7));
        #[cfg(target_os = "linux")]
        {
            use thread_priority::{
                NormalThreadSchedulePolicy::Idle, ThreadSchedulePolicy, thread_schedule_policy,
            };
            let policy = threads.run(|_| thread_schedule_policy().unwrap()).await.unwrap();
            assert_eq!(policy, ThreadSchedulePolicy::Normal(Idle));
        }
    }
}
