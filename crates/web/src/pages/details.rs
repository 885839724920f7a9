//! Authorization details as people read them (RFC 9396 §11, RAR-06): what exactly an app asks for, every
//! member of it, in words and figures of the reader's language. All of it comes from somebody else, so it is
//! plain text here and escaped by the templates.

use consent::{
    AccountChoice, BankAccount, DetailType,
    details::{ACCOUNT_INFORMATION, PAYMENT_INITIATION},
};
use protocol::authorization_details::AuthorizationDetail;
use serde_json::Value;

use super::frame::Frame;

/// One authorization detail.
#[derive(Clone, Debug)]
pub struct DetailItem {
    /// What it is.
    pub title: String,
    /// One or two sentences, may be empty.
    pub description: String,
    /// Names and values of its members.
    pub facts: Vec<(String, String)>,
    /// The accounts to choose from, where the detail leaves that to the customer.
    pub choice: Option<AccountField>,
    /// Whether it acts for the customer.
    pub critical: bool,
    /// Whether it was not part of an earlier consent.
    pub new: bool,
}

/// Accounts to choose from.
#[derive(Clone, Debug)]
pub struct AccountField {
    /// The name of the field, `accounts-<position of the detail>`; where several may be chosen, each has a
    /// field of its own, with its position behind.
    pub name: String,
    /// Whether more than one may be chosen.
    pub several: bool,
    /// Value, name and number of each.
    pub options: Vec<AccountOption>,
}

/// One account to choose.
#[derive(Clone, Debug)]
pub struct AccountOption {
    /// What is posted.
    pub value: String,
    /// What the customer calls it.
    pub name: String,
    /// Its number; may be empty.
    pub number: String,
}

impl DetailItem {
    /// A detail in the words of its type. `accounts` are the customer's.
    pub fn new(
        frame: &Frame,
        kind: &DetailType,
        detail: &AuthorizationDetail,
        accounts: &[BankAccount],
    ) -> Self {
        let (title, description) = kind.text(&[frame.language.tag()]);
        let facts = match detail.kind() {
            ACCOUNT_INFORMATION => account_information(frame, detail, accounts),
            PAYMENT_INITIATION => payment(frame, detail, accounts),
            _ => plain(kind, detail),
        };
        Self {
            title: title.to_owned(),
            description: description.to_owned(),
            facts,
            choice: None,
            critical: kind.definition().second_factor_required || detail.kind() == PAYMENT_INITIATION,
            new: false,
        }
    }

    /// The same with the choice that it leaves to the customer, if any; `position` counts the details of the
    /// page.
    #[must_use]
    pub fn choosing(
        mut self,
        position: usize,
        detail: &AuthorizationDetail,
        accounts: &[BankAccount],
    ) -> Self {
        let Some(choice) = AccountChoice::of(detail) else { return self };
        let option = |account: &BankAccount| AccountOption {
            value: account.id.clone(),
            name: account.name.clone(),
            number: account.iban.as_deref().map(grouped_iban).unwrap_or_default(),
        };
        let options: Vec<AccountOption> = choice.among(accounts).map(option).collect();
        if !options.is_empty() {
            let several = choice == AccountChoice::Several;
            self.choice = Some(AccountField { name: format!("accounts-{position}"), several, options });
        }
        self
    }
}

fn account_information(
    frame: &Frame,
    detail: &AuthorizationDetail,
    accounts: &[BankAccount],
) -> Vec<(String, String)> {
    let mut facts = vec![(frame.text("detail-actions"), actions(frame, detail))];
    let named = detail.get("accounts").and_then(Value::as_array);
    if let Some(named) = named {
        let shown: Vec<String> =
            named.iter().filter_map(Value::as_str).map(|id| account_name(id, accounts)).collect();
        facts.push((frame.text("detail-accounts"), shown.join(", ")));
    } else if accounts.is_empty() {
        facts.push((frame.text("detail-accounts"), frame.text("detail-accounts-all")));
    }
    facts
}

fn payment(frame: &Frame, detail: &AuthorizationDetail, accounts: &[BankAccount]) -> Vec<(String, String)> {
    let text = |name: &str| detail.get(name).and_then(Value::as_str).map(str::to_owned);
    let iban = |name: &str| detail.get(name)?.get("iban").and_then(Value::as_str);
    let amount = detail.get("instructedAmount").map(|amount| {
        let part = |name| amount.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", part("currency"), grouped_amount(part("amount")))
    });
    let debtor = iban("debtorAccount").map(|iban| {
        let own = accounts.iter().find(|account| account.iban.as_deref() == Some(iban));
        own.map_or_else(|| grouped_iban(iban), |own| account_name(&own.id, accounts))
    });
    let facts = [
        ("detail-amount", amount),
        ("detail-creditor", text("creditorName")),
        ("detail-creditor-account", iban("creditorAccount").map(grouped_iban)),
        ("detail-debtor-account", debtor),
        ("detail-remittance", text("remittanceInformationUnstructured")),
        ("detail-actions", detail.get("actions").map(|_| actions(frame, detail))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((frame.text(name), value?))).collect()
}

/// Every member of a bank's own type, under the names that its schema gives them.
fn plain(kind: &DetailType, detail: &AuthorizationDetail) -> Vec<(String, String)> {
    let members = detail.members().iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "locations"));
    members.map(|(name, value)| (kind.label(name).to_owned(), flat(value))).collect()
}

fn flat(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let shown = members.iter().map(|(name, value)| format!("{name}: {}", flat(value)));
            shown.collect::<Vec<_>>().join("; ")
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn actions(frame: &Frame, detail: &AuthorizationDetail) -> String {
    let named = detail.get("actions").and_then(Value::as_array).into_iter().flatten();
    let shown = named.filter_map(Value::as_str).map(|action| {
        let known = frame.language.try_text(&format!("detail-action-{action}"));
        known.unwrap_or_else(|| action.replace('_', " "))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn account_name(id: &str, accounts: &[BankAccount]) -> String {
    match accounts.iter().find(|account| account.id == id) {
        None => id.to_owned(),
        Some(BankAccount { name, iban: None, .. }) => name.clone(),
        Some(BankAccount { name, iban: Some(iban), .. }) => format!("{name} ({})", grouped_iban(iban)),
    }
}

/// In groups of four, as it is printed (ISO 13616).
fn grouped_iban(iban: &str) -> String {
    let characters: Vec<char> = iban.chars().collect();
    characters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// Thousands apart, as both languages of the pages write them.
fn grouped_amount(amount: &str) -> String {
    let (whole, rest) = amount.split_once('.').map_or((amount, None), |(whole, rest)| (whole, Some(rest)));
    let digits: Vec<char> = whole.chars().collect();
    let groups = digits.rchunks(3).rev().map(|group| group.iter().collect::<String>());
    let whole = groups.collect::<Vec<_>>().join(",");
    rest.map_or_else(|| whole.clone(), |rest| format!("{whole}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rar_06_amounts_and_numbers_are_readable() {
        for (amount, shown) in
            [("1", "1"), ("123.50", "123.50"), ("1234.5", "1,234.5"), ("1000000.00", "1,000,000.00")]
        {
            assert_eq!(grouped_amount(amount), shown);
        }
        assert_eq!(grouped_iban("DE02100100109307118603"), "DE02 1001 0010 9307 1186 03");
        assert_eq!(flat(&serde_json::json!({"a": [1, "x"], "b": null})), "a: 1, x; b: –");
    }
}
