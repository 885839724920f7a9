//! The integration tests: one binary, a module for each specification, and one for the rules of the house.

#[cfg(test)]
mod house;
