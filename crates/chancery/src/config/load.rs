//! Reading the configuration: file, then environment, then secret files, then the checks. Every step
//! adds to one list of mistakes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use config::{Config, Environment, File, FileFormat, Value, ValueKind};
use secrecy::SecretString;

use crate::config::{
    check,
    mistake::{Mistake, did_you_mean},
    reference::variable,
    settings::Settings,
    upstream,
    value::{Issuer, Setting},
};

/// Where each setting that was given came from, by key.
#[derive(Debug)]
pub struct Origins {
    given: BTreeMap<String, String>,
    fallback: String,
}

impl Origins {
    /// The file or the environment variable that set `key`; if nothing did, the file in which it
    /// would be set.
    pub fn of(&self, key: &str) -> String {
        self.given.get(key).unwrap_or(&self.fallback).clone()
    }
}

/// A reading in progress.
struct Reading {
    file: Option<PathBuf>,
    origins: Origins,
    mistakes: Vec<Mistake>,
}

impl Settings {
    /// Reads the file at `path`, if one is given, and `environment`, which wins.
    ///
    /// # Errors
    /// Every mistake that was found, in the order of the sections.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Vec<Mistake>> {
        let fallback = path.map_or_else(|| "environment".to_owned(), |path| path.display().to_string());
        let mut reading = Reading {
            file: path.map(Path::to_owned),
            origins: Origins { given: BTreeMap::new(), fallback },
            mistakes: Vec::new(),
        };
        let given = reading.sources(environment).map_err(|mistake| vec![mistake])?;
        let mut settings = reading.assign(given);
        reading.resolve_paths(&mut settings);
        reading.resolve_secrets(&mut settings);
        check::check(&settings, &reading.origins, &mut reading.mistakes);
        if reading.mistakes.is_empty() { Ok(settings) } else { Err(reading.mistakes) }
    }
}

impl Reading {
    /// Merges both sources into one tree.
    fn sources(
        &self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<config::Map<String, Value>, Mistake> {
        let mut builder = Config::builder();
        if let Some(path) = &self.file {
            let text = fs::read_to_string(path).map_err(|error| Mistake {
                origin: path.display().to_string(),
                key: String::new(),
                problem: format!("cannot be read: {error}"),
                remedy: "Name an existing file with --config, or make this one readable for the server."
                    .into(),
            })?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let environment = environment.into_iter().collect();
        builder = builder.add_source(
            Environment::with_prefix("CHANCERY")
                .prefix_separator("__")
                .separator("__")
                .ignore_empty(true)
                .source(Some(environment)),
        );
        let merged = builder.build().map_err(|error| Mistake {
            origin: self.file_name(),
            key: String::new(),
            problem: format!("is not TOML: {error}"),
            remedy: "Mend the line; https://toml.io describes the format.".into(),
        })?;
        match merged.cache.kind {
            ValueKind::Table(table) => Ok(table),
            _ => Ok(config::Map::new()),
        }
    }

    fn file_name(&self) -> String {
        self.origins.fallback.clone()
    }

    /// A file's values carry no origin, because the file's text was handed over; the environment's do.
    fn origin(&self, key: &str, value: &Value) -> String {
        match value.origin() {
            None => self.file_name(),
            Some(_) => variable(key),
        }
    }

    fn mistake(&mut self, origin: String, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Mistake {
            origin,
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    fn assign(&mut self, mut given: config::Map<String, Value>) -> Settings {
        let mut settings = Settings::new(self.issuer(given.remove("issuer").as_ref()));
        for section in settings.sections() {
            let name = section.name();
            let Some(value) = given.remove(name) else { continue };
            let table = match value.kind {
                ValueKind::Table(table) => table,
                _ => {
                    let origin = self.origin(name, &value);
                    self.mistake(
                        origin,
                        name,
                        "is a section, not a value",
                        format!("Write its settings under [{name}]."),
                    );
                    continue;
                }
            };
            let mut table: Vec<_> = table.into_iter().collect();
            table.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, value) in table {
                let full = format!("{name}.{key}");
                let origin = self.origin(&full, &value);
                match section.assign(&key, &value) {
                    Some(Ok(())) => {
                        self.origins.given.insert(full, origin);
                    }
                    Some(Err(unfit)) => self.mistake(origin, &full, unfit.problem, unfit.remedy),
                    None => {
                        let known: Vec<_> = section.entries().iter().map(|entry| entry.key).collect();
                        let remedy = match did_you_mean(&key, known.iter().copied()) {
                            Some(near) => format!("Did you mean `{name}.{near}`?"),
                            None => format!("[{name}] has: {}.", known.join(", ")),
                        };
                        self.mistake(origin, &full, "there is no such setting", remedy);
                    }
                }
            }
        }
        if let Some(value) = given.remove("upstream") {
            let directory = self.file.as_ref().and_then(|file| file.parent());
            match upstream::read(value, directory, &settings.keys.algorithms) {
                Ok(upstreams) => settings.upstreams = upstreams,
                Err((key, problem, remedy)) => self.mistake(self.file_name(), &key, problem, remedy),
            }
        }
        self.unknown(given, &mut settings);
        settings
    }

    fn issuer(&mut self, value: Option<&Value>) -> Issuer {
        if let Some(value) = value {
            let origin = self.origin("issuer", value);
            match Issuer::read(value) {
                Ok(issuer) => {
                    self.origins.given.insert("issuer".into(), origin);
                    return issuer;
                }
                Err(unfit) => self.mistake(origin, "issuer", unfit.problem, unfit.remedy),
            }
        } else {
            self.mistake(
                self.file_name(),
                "issuer",
                "is missing",
                "Write the public URL of this server, such as issuer = \"https://login.bank.example\".",
            );
        }
        // Stands in so that the other settings can be checked too; the mistake above prevents a start.
        "https://issuer.invalid".parse().expect("the literal is an issuer")
    }

    fn unknown(&mut self, rest: config::Map<String, Value>, settings: &mut Settings) {
        let mut rest: Vec<_> = rest.into_iter().collect();
        rest.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<_> = std::iter::once("issuer")
            .chain(settings.sections().iter().map(|section| section.name()))
            .collect();
        for (key, value) in rest {
            let origin = self.origin(&key, &value);
            let what = if matches!(value.kind, ValueKind::Table(_)) { "section" } else { "setting" };
            let remedy = match did_you_mean(&key, names.iter().copied()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("There are: {}.", names.join(", ")),
            };
            self.mistake(origin, &key, format!("there is no such {what}"), remedy);
        }
    }

    /// Relative paths of the file start at the file's directory, wherever the server was started.
    fn resolve_paths(&self, settings: &mut Settings) {
        let Some(directory) = self.file.as_ref().and_then(|file| file.parent()) else { return };
        for path in
            settings.registration.statement_issuers.iter_mut().filter_map(|issuer| issuer.jwks_file.as_mut())
        {
            *path = directory.join(&*path);
        }
        for (key, path) in [
            ("database.url_file", &mut settings.database.url_file),
            ("tls.certificate", &mut settings.tls.certificate),
            ("tls.key", &mut settings.tls.key),
            ("mtls.authorities_file", &mut settings.mtls.authorities_file),
            ("secrets.key_encryption_key_file", &mut settings.secrets.key_encryption_key_file),
            ("secrets.password_pepper_file", &mut settings.secrets.password_pepper_file),
            ("traces.headers_file", &mut settings.traces.headers_file),
            ("outbound.root_certificate", &mut settings.outbound.root_certificate),
        ] {
            if let Some(path) = path
                && self.origins.of(key) == self.file_name()
            {
                *path = directory.join(&*path);
            }
        }
    }

    fn resolve_secrets(&mut self, settings: &mut Settings) {
        let Settings { database, secrets, traces, .. } = settings;
        self.secret("database.url", &mut database.url, database.url_file.as_deref());
        self.secret(
            "secrets.key_encryption_key",
            &mut secrets.key_encryption_key,
            secrets.key_encryption_key_file.as_deref(),
        );
        self.secret(
            "secrets.password_pepper",
            &mut secrets.password_pepper,
            secrets.password_pepper_file.as_deref(),
        );
        self.secret("traces.headers", &mut traces.headers, traces.headers_file.as_deref());
    }

    /// Fills a secret from its file.
    fn secret(&mut self, key: &str, secret: &mut Option<SecretString>, file: Option<&Path>) {
        let Some(file) = file else { return };
        let file_key = format!("{key}_file");
        let origin = self.origins.of(&file_key);
        if secret.is_some() {
            self.mistake(origin, &file_key, format!("is given beside `{key}`"), "Keep one of the two.");
            return;
        }
        match fs::read_to_string(file) {
            Ok(text) if text.trim().is_empty() => {
                let problem = format!("the file {} is empty", file.display());
                self.mistake(origin, &file_key, problem, "Write the secret into it.");
            }
            Ok(text) => *secret = Some(text.trim().into()),
            Err(error) => {
                let problem = format!("the file {} cannot be read: {error}", file.display());
                self.mistake(
                    origin,
                    &file_key,
                    problem,
                    "Make the file readable for the server, or name another one.",
                );
            }
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
