//! The `hermes` program: build the world, run, return the exit code.

fn main() {}
