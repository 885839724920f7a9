//! Invented accounts. Each customer's are derived from their subject, so they are the same after a restart and
//! different between customers; only payments are remembered, for as long as the process lives.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Payments remembered for all customers together; a demo that is left running does not grow for ever.
const MAX_PAYMENTS: usize = 10_000;

/// An account as the API shows it. The number is what people see; the IBAN is what payments name.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Account {
    pub(crate) account_id: String,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) number: String,
    pub(crate) iban: String,
    pub(crate) currency: &'static str,
}

/// One balance: `booked` or `available`. The amount is a decimal string, never a float.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Balance {
    pub(crate) kind: &'static str,
    pub(crate) amount: String,
    pub(crate) currency: &'static str,
}

/// The body of `POST /payments`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentOrder {
    pub(crate) from_account: String,
    pub(crate) creditor: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    /// The IBAN of the creditor's account. Whom one pays often needs none.
    pub(crate) creditor_account: Option<String>,
}

/// A payment that was accepted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Payment {
    pub(crate) payment_id: String,
    pub(crate) status: &'static str,
    pub(crate) from_account: String,
    pub(crate) creditor: String,
    pub(crate) amount: String,
    pub(crate) currency: &'static str,
}

/// The accounts of everybody, and what has been paid from them.
#[derive(Default)]
pub(crate) struct Ledger {
    paid: Mutex<Paid>,
}

#[derive(Default)]
struct Paid {
    count: usize,
    /// Approvals of single payments that have been used.
    approvals: HashSet<String>,
    cents_by_account: HashMap<String, i64>,
}

struct Kind {
    slug: &'static str,
    name: &'static str,
    kind: &'static str,
    /// the smallest balance and how much may come on top, in cents
    cents: (i64, u64),
}

const KINDS: [Kind; 3] = [
    Kind { slug: "everyday", name: "Everyday account", kind: "current", cents: (180_000, 400_000) },
    Kind { slug: "rainy-day", name: "Rainy-day savings", kind: "savings", cents: (900_000, 2_500_000) },
    Kind { slug: "travel", name: "Travel pot", kind: "savings", cents: (20_000, 160_000) },
];
const CURRENCY: &str = "EUR";

impl Ledger {
    pub(crate) fn accounts(&self, subject: &str) -> Vec<Account> {
        KINDS
            .iter()
            .map(|kind| Account {
                account_id: account_id(subject, kind),
                name: kind.name,
                kind: kind.kind,
                number: format!("•••• {:04}", spread(subject, kind.name) % 10_000),
                iban: iban(subject, kind),
                currency: CURRENCY,
            })
            .collect()
    }

    /// The balances of one of the subject's accounts; `None` if it is not theirs.
    pub(crate) fn balances(&self, subject: &str, account: &str) -> Option<Vec<Balance>> {
        let booked = booked_cents(subject, account)?;
        let available = booked - self.paid_from(account);
        let balance = |kind, cents| Balance { kind, amount: decimal(cents), currency: CURRENCY };
        Some(vec![balance("available", available), balance("booked", booked)])
    }

    /// The IBAN of one of the subject's accounts.
    pub(crate) fn iban(&self, subject: &str, account: &str) -> Option<String> {
        KINDS.iter().find(|kind| account_id(subject, kind) == account).map(|kind| iban(subject, kind))
    }

    /// Pays. An `approval` of this single payment counts once; without one, the customer allowed more.
    pub(crate) fn pay(
        &self,
        subject: &str,
        order: PaymentOrder,
        approval: Option<String>,
    ) -> Result<Payment, Refusal> {
        let cents = parse_cents(&order.amount)
            .ok_or(Refusal::InvalidPayment("the amount is not a positive decimal like 12.50"))?;
        if order.currency != CURRENCY {
            return Err(Refusal::InvalidPayment("the currency is not EUR"));
        }
        let creditor = order.creditor.trim();
        if creditor.is_empty() || creditor.chars().count() > 70 || creditor.chars().any(char::is_control) {
            return Err(Refusal::InvalidPayment("the creditor is not a name of at most 70 characters"));
        }
        let booked = booked_cents(subject, &order.from_account).ok_or(Refusal::NoSuchAccount)?;
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let before = paid.cents_by_account.get(&order.from_account).copied().unwrap_or_default();
        if before + cents > booked || paid.count >= MAX_PAYMENTS {
            return Err(Refusal::Unaffordable);
        }
        if approval.is_some_and(|approval| !paid.approvals.insert(approval)) {
            return Err(Refusal::PaidAlready);
        }
        paid.cents_by_account.insert(order.from_account.clone(), before + cents);
        paid.count += 1;
        Ok(Payment {
            payment_id: format!("pay-{:05}", paid.count),
            status: "accepted",
            creditor: creditor.to_owned(),
            from_account: order.from_account,
            amount: decimal(cents),
            currency: CURRENCY,
        })
    }

    fn paid_from(&self, account: &str) -> i64 {
        let paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.cents_by_account.get(account).copied().unwrap_or_default()
    }
}

fn account_id(subject: &str, kind: &Kind) -> String {
    format!("{}-{:08x}", kind.slug, spread(subject, kind.slug) & 0xffff_ffff)
}

/// With the check digits of ISO 13616, as every app will check them.
fn iban(subject: &str, kind: &Kind) -> String {
    let account = format!("50010517{:010}", spread(subject, kind.name) % 10_000_000_000);
    // DE00 at the end, letters as numbers.
    let rest =
        format!("{account}131400").bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
    format!("DE{:02}{account}", 98 - rest)
}

fn booked_cents(subject: &str, account: &str) -> Option<i64> {
    let kind = KINDS.iter().find(|kind| account_id(subject, kind) == account)?;
    let (least, range) = kind.cents;
    i64::try_from(spread(subject, kind.kind).wrapping_add(spread(kind.name, subject)) % range)
        .ok()
        .map(|more| least + more)
}

/// A number that looks random and is always the same for the same words (FNV-1a). Only for invented data.
fn spread(subject: &str, word: &str) -> u64 {
    let bytes = subject.bytes().chain([0]).chain(word.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // the low bits of FNV mix poorly
    hash ^ (hash >> 32)
}

fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// `12`, `12.5` or `12.50`; positive, at most nine digits before the point.
pub(crate) fn parse_cents(amount: &str) -> Option<i64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 9) || !digits(fraction, 2) {
        return None;
    }
    let cents: i64 = whole.parse::<i64>().ok()? * 100 + format!("{fraction:0<2}").parse::<i64>().ok()?;
    (cents > 0).then_some(cents)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(account: &str, amount: &str) -> PaymentOrder {
        PaymentOrder {
            from_account: account.into(),
            creditor: "Rent".into(),
            amount: amount.into(),
            currency: "EUR".into(),
            creditor_account: None,
        }
    }

    #[test]
    fn customers_see_their_own_accounts_and_nobody_elses() {
        let ledger = Ledger::default();
        let (alice, bob) = (ledger.accounts("alice-sub"), ledger.accounts("bob-sub"));
        assert_eq!(alice.len(), 3);
        assert_eq!(alice, ledger.accounts("alice-sub"), "the same at every look");
        assert!(alice.iter().all(|account| ledger.balances("alice-sub", &account.account_id).is_some()));
        assert!(bob.iter().all(|account| ledger.balances("alice-sub", &account.account_id).is_none()));
    }

    #[test]
    fn a_payment_lowers_the_available_balance_until_nothing_is_left() {
        let ledger = Ledger::default();
        let id = ledger.accounts("s")[0].account_id.clone();
        let available = |ledger: &Ledger| parse_cents(&ledger.balances("s", &id).unwrap()[0].amount).unwrap();
        let before = available(&ledger);
        let payment = ledger.pay("s", order(&id, "12.5"), None).unwrap();
        assert_eq!(payment.amount, "12.50");
        assert_eq!(available(&ledger), before - 1250);
        assert!(matches!(ledger.pay("s", order(&id, "999999"), None), Err(Refusal::Unaffordable)));
        assert!(matches!(ledger.pay("another", order(&id, "1"), None), Err(Refusal::NoSuchAccount)));
    }

    #[test]
    fn an_approval_pays_once_and_not_at_all_what_is_too_much() {
        let ledger = Ledger::default();
        let id = ledger.accounts("s")[0].account_id.clone();
        let pay = |amount: &str| ledger.pay("s", order(&id, amount), Some("one".into()));
        assert!(matches!(pay("999999"), Err(Refusal::Unaffordable)));
        assert!(pay("1").is_ok());
        assert!(matches!(pay("1"), Err(Refusal::PaidAlready)));
    }

    #[test]
    fn ibans_have_their_check_digits() {
        for account in Ledger::default().accounts("s") {
            let moved = format!("{}{}", &account.iban[4..], &account.iban[..4]).replace("DE", "1314");
            let rest = moved.bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97);
            assert_eq!((rest, account.iban.len()), (1, 22), "{}", account.iban);
        }
    }

    #[test]
    fn amounts_are_plain_positive_decimals() {
        let table = [
            ("12", Some(1200)),
            ("12.5", Some(1250)),
            ("0.01", Some(1)),
            ("0", None),
            ("-1", None),
            ("1e3", None),
            ("", None),
            (".5", None),
            ("1.", None),
            ("1.234", None),
            ("+1", None),
            ("1234567890", None),
            ("١", None),
        ];
        for (text, cents) in table {
            assert_eq!(parse_cents(text), cents, "{text}");
        }
    }
}
