//! What the supervisor costs: ten thousand platforms that flap without end. Printed: the cost of one event, the memory of one
//! platform, and how much memory a million events add. Run by `just bench`.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark asks the time and prints")]

use std::time::{Duration, Instant};

use hermes::gateway::model::event::Generation;
use hermes::gateway::model::failure::AdapterError;
use hermes::gateway::supervisor::machine::{Action, Input, Machine, Policy};

const PLATFORMS: usize = 10_000;
const EVENTS: u64 = 1_000_000;

/// Longer than the ladder's longest wait.
const ROUND: Duration = Duration::from_secs(600);

/// A machine and the attempt that it waits for.
struct Platform {
    machine: Machine,
    generation: Generation,
}

fn main() {
    let begin = Instant::now();
    let empty = resident();
    let mut platforms: Vec<Platform> = (0..PLATFORMS)
        .zip(1_u64..)
        .map(|(_, seed)| Platform {
            machine: Machine::new(Policy { breaker_after: 0, ..Policy::default() }, seed),
            generation: 0,
        })
        .collect();
    let mut now = begin;
    for platform in &mut platforms {
        platform.machine.handle(now, Input::Start);
        platform.settle();
    }
    // Every list has its full length after some rounds of flapping.
    let warm = rounds(&mut platforms, &mut now, EVENTS / 2);
    let full = resident();
    let measured = rounds(&mut platforms, &mut now, EVENTS);
    let after = resident();
    let per_platform = full.saturating_sub(empty) / PLATFORMS;
    println!("{PLATFORMS} platforms, {} of virtual time", hours(now - begin));
    println!("decide: {:>6} ns an event (warming up: {} ns)", measured.as_nanos() / u128::from(EVENTS), {
        warm.as_nanos() / u128::from(EVENTS / 2)
    });
    println!("memory: {per_platform:>6} bytes a platform, of which {} in the machine", size_of::<Machine>());
    println!("growth: {:>6} kB over {EVENTS} events", after.saturating_sub(full) / 1024);
}

/// So many events, one after another platform: its connection comes up, is lost, and is waited for.
fn rounds(platforms: &mut [Platform], now: &mut Instant, events: u64) -> Duration {
    let begin = Instant::now();
    let mut count = 0;
    while count < events {
        for platform in &mut *platforms {
            platform.machine.handle(*now, Input::Up { generation: platform.generation });
            platform.settle();
            let error = AdapterError::retryable("net_refused", "the connection was refused");
            let generation = platform.generation;
            platform.machine.handle(*now, Input::Down { generation, error });
            platform.settle();
            platform.machine.handle_timeout(*now + ROUND);
            platform.settle();
            count += 3;
        }
        *now += ROUND;
    }
    begin.elapsed()
}

impl Platform {
    fn settle(&mut self) {
        while let Some(action) = self.machine.poll_action() {
            if let Action::Connect { generation } = action {
                self.generation = generation;
            }
        }
    }
}

/// The memory of this process that is in use, in bytes; 0 where that cannot be known.
fn resident() -> usize {
    const PAGE: usize = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .map_or(0, |pages| pages * PAGE)
}

fn hours(time: Duration) -> String {
    format!("{} h", time.as_secs() / 3600)
}
