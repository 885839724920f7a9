//! Migrations are compiled in; a new file among them must lead to a new build.
fn main() {
    // Cargo reads this from standard output.
    #[allow(clippy::print_stdout)]
    {
        println!("cargo:rerun-if-changed=../../migrations");
    }
}
