//! The time of day, which an API's own tests may choose.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};

/// Where the layer reads the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// A clock that shows what this function says.
    pub fn new(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl Default for Clock {
    /// The clock of the machine.
    fn default() -> Self {
        Self::new(machine)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// The one place where this crate reads the machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this crate stands alone in an API's process: whoever does not give a clock means this one"
)]
fn machine() -> DateTime<Utc> {
    Utc::now()
}
