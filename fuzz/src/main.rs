//! The fuzzer: libFuzzer drives one target, the one that `CHANCERY_FUZZ_TARGET` names.
//!
//! One program for all targets, because linking is the slow part of building it; `fuzz/run` sets the variable.
#![no_main]
#![allow(unsafe_code, reason = "`fuzz_target!` defines the C functions that libFuzzer calls")]

use std::sync::OnceLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

static CHOSEN: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        let name = std::env::var("CHANCERY_FUZZ_TARGET").expect("CHANCERY_FUZZ_TARGET names a target");
        let target = fuzz::target(&name).expect("CHANCERY_FUZZ_TARGET names a known target");
        let _ = CHOSEN.set(target);
    },
    |bytes: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            (target.run)(bytes);
        }
    }
);
