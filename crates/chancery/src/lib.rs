//! Chancery as one program: configuration, command line, listeners, and the wiring of all rooms.
//!
//! The binary is a shell around [`run`]. Everything that decides something lives in the other
//! crates; here values are read, handed on and shown.
//!
//! * [`config`] reads the settings and explains mistakes.
//! * [`declare`] reads the file that describes a bank, and compares it with the store.
//! * [`listen`] accepts connections.
//! * [`telemetry`] sets up logs and metrics, [`admin`] shows health and metrics, [`evidence`] lists them.
//! * [`cli`] is the grammar of the command line, [`commands`] what each command does.

pub mod admin;
pub mod cli;
pub mod commands;
pub mod config;
pub mod declare;
pub mod evidence;
pub mod listen;
pub mod telemetry;

pub use commands::run;
