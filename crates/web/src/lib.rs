//! web

pub mod pages;

pub mod peer;
