//! What several benchmarks measure alike.

use std::io::Write as _;
use std::process::Child;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpStream;

/// Small durable writes on the disk of the temp folder, how long each took.
pub(crate) fn fsyncs() -> Vec<Duration> {
    let mut file = tempfile::tempfile().unwrap();
    let mut write = || {
        let begun = Instant::now();
        file.write_all(&[0; 4096]).unwrap();
        file.sync_data().unwrap();
        begun.elapsed()
    };
    (0..200).map(|_| write()).collect()
}

/// The median and the 99th percentile, in milliseconds.
pub(crate) fn quantiles(mut times: Vec<Duration>) -> [f64; 2] {
    times.sort();
    [50, 99].map(|percent| ms(times[(times.len() - 1) * percent / 100]))
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Processor time that a process has used, in seconds, to the nanosecond: what the threads have that live.
pub(crate) fn cpu_s(pid: u32) -> f64 {
    let spent = |task: std::io::Result<std::fs::DirEntry>| {
        let line = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        line.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    float(tasks.map(spent).sum()) / 1e9
}

/// Memory of a process in megabytes: `VmRSS` now, `VmHWM` at its most.
pub(crate) fn memory_mb(pid: u32, what: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    float(line.split_whitespace().next().unwrap().parse().unwrap()) / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "figures to a few digits")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// The body of the next request or answer over HTTP.
pub(crate) async fn read_body(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

/// A figure's target, and whether it was missed.
pub(crate) fn target(is_kept: bool, target: String) -> String {
    if is_kept { target } else { format!("{target} MISSED") }
}

/// A process that ends with its measurement.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}
