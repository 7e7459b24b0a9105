//! The `hermes` program: build the world, run, return the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let world = hermes::world::World::from_process();
    ExitCode::from(hermes::cli::run(&world))
}
