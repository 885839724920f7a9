//! What the actors of a load asked and were told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use testkit::{Answer, Attempt, RelyingParty, claims_of};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// A page or a redirect: an authorization, a consent.
    Page,
    /// Tokens for a code.
    Redeem,
    /// Tokens for a rotating refresh token.
    Rotate,
    /// A JWT of the client's own, which leaves no row.
    Own,
    /// An opaque token of the client's own, which does.
    Opaque,
}

/// Every kind.
pub const ASKS: [Ask; 5] = [Ask::Page, Ask::Redeem, Ask::Rotate, Ask::Own, Ask::Opaque];

/// What the sender heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// That it is done.
    Acknowledged,
    /// That it is not, with this status.
    Refused(u16),
    /// Nothing: nobody can tell whether it was done.
    Nothing,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// What for.
    pub ask: Ask,
    /// When it was sent.
    pub sent: Instant,
    /// How long until it was answered, or the connection was gone.
    pub took: Duration,
    /// The answer.
    pub heard: Heard,
}

/// A family of rotating refresh tokens, the last of which nobody has presented.
#[derive(Clone, Debug)]
pub struct Family {
    /// Acknowledged tokens, oldest first.
    pub chain: Vec<String>,
    /// The last one was presented and there was no answer that says what became of it.
    pub unsure: bool,
}

/// How far an authorization code came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Received and not presented.
    InHand,
    /// Presented, and there was no answer that says what became of it.
    Unsure,
    /// Tokens came back.
    Redeemed,
}

/// An authorization code.
#[derive(Clone, Debug)]
pub struct Code {
    /// Whose.
    pub app: RelyingParty,
    /// For what it was asked.
    pub attempt: Attempt,
    /// The code.
    pub code: String,
    /// How far it came.
    pub stage: Stage,
}

/// An access token that was acknowledged.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token.
    pub value: String,
    /// Its identifier, of a JWT.
    pub jti: Option<String>,
    /// What was asked.
    pub ask: Ask,
    /// When it was in its client's hands.
    pub at: Instant,
}

/// Everything that was asked and told.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// Requests.
    pub exchanges: Vec<Exchange>,
    /// Families that nobody is rotating at this moment.
    pub families: Vec<Family>,
    /// Codes.
    pub codes: Vec<Code>,
    /// Access tokens.
    pub tokens: Vec<Token>,
    /// Answers that no failure explains.
    pub odd: Vec<String>,
}

/// The book, shared by the actors.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    /// The book.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    /// Notes a token response.
    pub fn token(&self, ask: Ask, answer: &Answer) {
        let value = answer.str("access_token").to_owned();
        let jti =
            (value.matches('.').count() == 2).then(|| claims_of(&value)["jti"].as_str().map(str::to_owned));
        self.book().tokens.push(Token { value, jti: jti.flatten(), ask, at: super::now() });
    }

    /// Takes a family to rotate it; the one that rested longest.
    pub fn take_family(&self) -> Option<Family> {
        let mut book = self.book();
        let sure = book.families.iter().position(|family| !family.unsure)?;
        Some(book.families.remove(sure))
    }

    /// Notes an answer that no failure explains.
    pub fn odd(&self, what: impl fmt::Display) {
        self.book().odd.push(what.to_string());
    }
}

/// What a stretch of time looked like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub sent: usize,
    /// Of these, acknowledged.
    pub acknowledged: usize,
    /// Refused, by status.
    pub refused: BTreeMap<u16, usize>,
    /// Not answered.
    pub unanswered: usize,
    /// The slowest.
    pub slowest: Duration,
}

impl Tally {
    /// Of these requests.
    pub fn of<'a>(exchanges: impl Iterator<Item = &'a Exchange>) -> Self {
        exchanges.fold(Self::default(), |mut tally, exchange| {
            tally.sent += 1;
            tally.slowest = tally.slowest.max(exchange.took);
            match exchange.heard {
                Heard::Acknowledged => tally.acknowledged += 1,
                Heard::Refused(status) => *tally.refused.entry(status).or_default() += 1,
                Heard::Nothing => tally.unanswered += 1,
            }
            tally
        })
    }

    /// Of what was sent from `from` until `to`.
    pub fn between(book: &Book, from: Instant, to: Instant) -> Self {
        Self::of(book.exchanges.iter().filter(|exchange| exchange.sent >= from && exchange.sent < to))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acknowledged, refused, unanswered, slowest } = self;
        let slowest = slowest.as_secs_f64();
        write!(
            f,
            "sent {sent}, acknowledged {acknowledged}, refused {refused:?}, unanswered {unanswered}, slowest {slowest:.2} s"
        )
    }
}
