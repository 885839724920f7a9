//! Fuzz targets for every parser that meets bytes from outside.
//!
//! A target takes any bytes and asserts what must hold for all of them: not only that nothing panics,
//! but that what was read and written again reads the same, that nothing which repeats is accepted,
//! that an altered signature never verifies. `fuzz/run` lets libFuzzer look for bytes that break a
//! promise, guided by what they reach; the test below replays the bytes that are kept in
//! `fuzz/corpus`, so whatever once broke a promise is tried again by every `cargo test`.
//!
//! * [`wire`] has the readers of requests and of the values in them.
//! * [`registered`] has what clients register and present: metadata, keys, credentials.
//! * [`signed`] has everything that is believed for its signature, or its seal.
//! * [`disclosed`] has what clients ask to be told and allowed, and what they encrypt to us.
//! * [`dpop`] has the proofs of keys that come with requests.
//! * [`request_object`] has the requests that clients sign.
//! * [`typed`] has what people type, and what their browsers send along.
//! * [`written`] has what operators write: configuration, the declared bank, the command line.
//! * [`front_door`] has the whole server behind its router.

#![forbid(unsafe_code)]

pub mod disclosed;
pub mod dpop;
pub mod front_door;
pub mod registered;
pub mod request_object;
pub mod signed;
pub mod typed;
pub mod wire;
pub mod written;

/// A promise about any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directory in `fuzz/corpus`.
    pub name: &'static str,
    /// Panics where the promise is broken.
    pub run: fn(&[u8]),
}

/// Every target, in the order in which `fuzz/run` takes them.
pub const TARGETS: &[Target] = &[
    Target { name: "params", run: wire::params },
    Target { name: "json", run: wire::json },
    Target { name: "words", run: wire::words },
    Target { name: "uris", run: wire::uris },
    Target { name: "authorization", run: wire::authorization },
    Target { name: "requests", run: wire::requests },
    Target { name: "metadata", run: registered::metadata },
    Target { name: "registration", run: registered::registration },
    Target { name: "keys", run: registered::keys },
    Target { name: "credentials", run: registered::credentials },
    Target { name: "tokens", run: signed::tokens },
    Target { name: "claims", run: signed::claims },
    Target { name: "sealed", run: signed::sealed },
    Target { name: "dpop", run: dpop::dpop },
    Target { name: "request_object", run: request_object::request_object },
    Target { name: "claims_parameter", run: disclosed::claims_parameter },
    Target { name: "authorization_details", run: disclosed::authorization_details },
    Target { name: "encrypted", run: disclosed::encrypted },
    Target { name: "factors", run: typed::factors },
    Target { name: "passwords", run: typed::passwords },
    Target { name: "browsers", run: typed::browsers },
    Target { name: "configuration", run: written::configuration },
    Target { name: "bank_file", run: written::bank_file },
    Target { name: "arguments", run: written::arguments },
    Target { name: "front_door", run: front_door::front_door },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// The text before the first line that is empty of anything else, and what follows it: how one input
/// holds two values.
pub(crate) fn halves(text: &str) -> (&str, &str) {
    text.split_once("\n\n").unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_target_holds_for_its_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut replayed = 0;
        for target in TARGETS {
            let inputs: Vec<_> = fs::read_dir(corpus.join(target.name)).unwrap().flatten().collect();
            assert!(!inputs.is_empty(), "{} has no corpus", target.name);
            for input in inputs {
                let path = input.path();
                let bytes = fs::read(&path).unwrap();
                let held = std::panic::catch_unwind(|| (target.run)(&bytes));
                assert!(held.is_ok(), "{} breaks the promise of {}", path.display(), target.name);
                replayed += 1;
            }
        }
        assert!(replayed >= 3 * TARGETS.len(), "{replayed} inputs");
    }

    #[test]
    fn every_corpus_has_its_target() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let found: BTreeSet<_> = fs::read_dir(corpus)
            .unwrap()
            .map(|directory| directory.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, TARGETS.iter().map(|target| target.name.to_owned()).collect());
    }
}
