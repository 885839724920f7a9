//! The queue against a database that is slow, away, or well. Time is tokio's, paused: it moves only when
//! everybody waits, so that every figure here is exact.

use std::sync::{
    Arc, Mutex as SyncMutex,
    atomic::{AtomicBool, AtomicU64},
};

use audit::EventKind;
use tokio::time::Instant;
use uuid::Uuid;

use super::*;

/// What stands in the place of the database.
#[derive(Default)]
struct Database {
    /// What was written and when, batch by batch.
    batches: SyncMutex<Vec<(Instant, Vec<Uuid>)>>,
    away: AtomicBool,
    milliseconds: AtomicU64,
}

impl Trail for Database {
    async fn write(&self, events: &[Event]) -> Result<()> {
        sleep(Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))).await;
        if self.away.load(Ordering::Relaxed) {
            return Err(FlowError::Contradiction("away"));
        }
        self.batches.lock().unwrap().push((now(), events.iter().map(|event| event.id).collect()));
        Ok(())
    }
}

impl Database {
    fn ids(&self) -> Vec<Uuid> {
        self.batches.lock().unwrap().iter().flat_map(|(_, ids)| ids.clone()).collect()
    }

    /// When an event was written.
    fn written_at(&self, id: Uuid) -> Instant {
        let batches = self.batches.lock().unwrap();
        batches.iter().find(|(_, ids)| ids.contains(&id)).unwrap().0
    }
}

#[expect(clippy::disallowed_methods, reason = "the paused clock of a test")]
fn now() -> Instant {
    Instant::now()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn event(number: u128) -> Event {
    Event::new(EventKind::TokenIssued, DateTime::UNIX_EPOCH, id(number))
}

fn start(milliseconds: u64) -> (Arc<AuditQueue>, Arc<Database>) {
    let (queue, trail) = (Arc::new(AuditQueue::new()), Arc::new(Database::default()));
    trail.milliseconds.store(milliseconds, Ordering::Relaxed);
    let (kept, written) = (queue.clone(), trail.clone());
    tokio::spawn(async move { kept.keep(&*written).await });
    (queue, trail)
}

#[tokio::test(start_paused = true)]
async fn every_event_is_written_once_in_order_and_at_most_100_ms_later() {
    let (queue, trail) = start(40);
    let mut put = Vec::new();
    for number in 0..300 {
        queue.put(event(number)).await.unwrap();
        put.push(now());
        sleep(Duration::from_millis(u64::try_from(number % 7).unwrap())).await;
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(trail.ids(), (0..300).map(id).collect::<Vec<_>>());
    let behind = (0..300).zip(&put).map(|(number, put)| trail.written_at(id(number)) - *put).max().unwrap();
    assert!(behind <= 2 * TICK, "{behind:?}");
    let batches = trail.batches.lock().unwrap().len();
    assert!((15..=30).contains(&batches), "{batches} batches in 0.9 seconds");
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_makes_requests_wait_and_never_leaves_more_than_100_ms_open() {
    let (queue, trail) = start(400);
    let (mut put, mut waited) = (Vec::new(), 0);
    for number in 0..2000 {
        let began = now();
        queue.put(event(number)).await.unwrap();
        put.push(now());
        waited += u32::from(now() > began);
        sleep(Duration::from_millis(1)).await;
    }
    queue.finish(&*trail).await;
    assert_eq!(trail.ids(), (0..2000).map(id).collect::<Vec<_>>());
    assert!(waited > 5, "only {waited} waited");
    // At any moment: what was answered but not yet written was answered within 100 ms.
    let written = (0..2000).map(|number| trail.written_at(id(number))).collect::<Vec<_>>();
    for (number, at) in put.iter().enumerate() {
        let oldest_open = (0..number).find(|earlier| written[*earlier] > *at).map_or(*at, |open| put[open]);
        assert!(*at - oldest_open <= 2 * TICK, "{number}: {:?}", *at - oldest_open);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_database_it_stops_and_goes_on_by_itself() {
    let (queue, trail) = start(1);
    trail.away.store(true, Ordering::Relaxed);
    let mut taken = Vec::new();
    for number in 0..1000 {
        match queue.put(event(number)).await {
            Ok(()) => taken.push(id(number)),
            Err(fault) => {
                assert!(matches!(fault, FlowError::AuditBehind));
                break;
            }
        }
        sleep(Duration::from_millis(1)).await;
    }
    assert!((40..=110).contains(&taken.len()), "{} were taken without a database", taken.len());
    assert!(matches!(queue.put(event(2000)).await, Err(FlowError::AuditBehind)));
    let began = now();
    trail.away.store(false, Ordering::Relaxed);
    queue.put(event(3000)).await.unwrap();
    assert!(now() - began <= AGAIN + TICK, "{:?}", now() - began);
    taken.push(id(3000));
    sleep(2 * TICK).await;
    assert_eq!(trail.ids(), taken);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_takes_nothing_more() {
    let queue = AuditQueue::new();
    for number in 0..CAPACITY {
        queue.put(event(number as u128)).await.unwrap();
    }
    let began = now();
    assert!(matches!(queue.put(event(1)).await, Err(FlowError::AuditBehind)));
    assert_eq!(now() - began, PATIENCE);
    let trail = Database::default();
    let (_, put) =
        tokio::join!(async { queue.drain(&trail).await.unwrap() }, queue.put(event(CAPACITY as u128)));
    put.unwrap();
    queue.drain(&trail).await.unwrap();
    assert_eq!(trail.ids(), (0..=CAPACITY as u128).map(id).collect::<Vec<_>>());
    assert!(trail.batches.lock().unwrap().iter().all(|(_, ids)| ids.len() <= BATCH));
}

#[tokio::test(start_paused = true)]
async fn what_a_stop_cannot_write_is_handed_back() {
    let (queue, trail) = (AuditQueue::new(), Database::default());
    for number in 0..1500 {
        queue.put(event(number)).await.unwrap();
    }
    trail.away.store(true, Ordering::Relaxed);
    let rest = queue.finish(&trail).await;
    assert_eq!(rest.iter().map(|event| event.id).collect::<Vec<_>>(), (0..1500).map(id).collect::<Vec<_>>());
    queue.put(event(1)).await.unwrap();
    trail.away.store(false, Ordering::Relaxed);
    assert!(queue.finish(&trail).await.is_empty());
    assert_eq!(trail.ids(), [id(1)]);
}
