//! What a command answers: for people, or as JSON; and how tables look.

use std::{
    fmt::Display,
    io::{self, Write},
};

use audit::detail::one_line;
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Cell, ContentArrangement, presets};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Failure, say};

/// The answer of a command, in both forms.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "an answer is to be given"]
pub struct Answer {
    text: Option<String>,
    json: Value,
    notes: Vec<String>,
    code: u8,
}

impl Answer {
    /// Nothing more is to be said.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// An answer: `text` for people, `json` for programs. Both go to standard output.
    pub fn new(text: impl Display, json: Value) -> Self {
        Self { text: Some(text.to_string()), json, notes: Vec::new(), code: 0 }
    }

    /// Adds what people should know beside the answer. It goes to standard error, so that the answer
    /// stands alone; programs are not told.
    pub fn note(mut self, note: impl Display) -> Self {
        self.notes.push(note.to_string());
        self
    }

    /// Makes the command end with this exit code, although it did what it was asked.
    pub const fn ending(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The exit code of the command.
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The form for programs.
    pub const fn json(&self) -> &Value {
        &self.json
    }

    /// The form for people.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Prints it.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn give(&self, as_json: bool) -> Result<(), Failure> {
        let Some(text) = &self.text else { return Ok(()) };
        if as_json {
            return say(serde_json::to_string_pretty(&self.json).map_err(Failure::new)?);
        }
        for note in &self.notes {
            // A note that nobody reads is no failure.
            let _ = writeln!(io::stderr(), "{note}");
        }
        if text.is_empty() { Ok(()) } else { say(text) }
    }
}

/// Rows below a header, aligned.
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns);
        Self(table)
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells.map(|cell| Cell::new(clean(&cell))));
    }

    /// The table as an answer.
    pub fn answer(mut self, json: Value) -> Answer {
        for column in self.0.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Answer::new(self.0.trim_fmt(), json)
    }
}

/// Members of one thing, one below the other; what is absent or empty is left out.
pub fn details(members: &Map<String, Value>) -> String {
    let shown = |value: &Value| match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    };
    let width = members.keys().map(String::len).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (name, value) in members {
        let values: Vec<String> = match value {
            Value::Null => continue,
            Value::Array(items) => items.iter().map(shown).collect(),
            one => vec![shown(one)],
        };
        for (at, value) in values.iter().enumerate() {
            let name = if at == 0 { name.as_str() } else { "" };
            lines.push(format!("{name:<width$}  {value}"));
        }
    }
    lines.join("\n")
}

/// Text that came from elsewhere, on one line and without control characters, which could say
/// anything to a terminal.
pub fn clean(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { one_line(text).into_owned() }
}

/// A time, in UTC, to the second.
pub fn time(at: impl Into<Option<DateTime<Utc>>>) -> String {
    at.into().map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Anything as JSON.
pub fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_aligned_and_tell_terminals_nothing() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["您的餘額".to_owned(), "a\u{1b}[31mred\n".to_owned()]);
        table.row(["b".to_owned(), String::new()]);
        let answer = table.answer(Value::Null);
        assert_eq!(answer.text(), "NAME      STATE\n您的餘額  a [31mred\nb         -");
    }

    #[test]
    fn details_leave_out_what_is_absent() {
        let Value::Object(members) = json!({ "name": "App", "none": null, "uris": ["a", "b"], "n": 3 })
        else {
            return;
        };
        assert_eq!(details(&members), "name  App\nuris  a\n      b\nn     3");
    }
}
