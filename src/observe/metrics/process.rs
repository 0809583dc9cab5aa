//! What the process takes, read at a scrape from Linux's `/proc` and its control group. Names as every Prometheus client
//! library has them. Elsewhere, and where a file cannot be read, a family has no series.

use std::path::PathBuf;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::families::{family, gauge, real_counter};

/// Per second, in `/proc/self/stat`: what Linux tells programs on every architecture, whatever it counts by itself.
const TICKS: f64 = 100.0;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Process;

/// What was found out.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    resident_bytes: Option<u64>,
    /// Of the control group that this process is in.
    limit_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    cpu_seconds: Option<f64>,
    /// Since the Unix epoch.
    start_time: Option<f64>,
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let reading = Reading::take();
        let gauge_of = |name: &str, help: &str, value: Option<f64>| {
            family(name, help, proto::MetricType::GAUGE, value.map(gauge).into_iter().collect())
        };
        let whole = |value: Option<u64>| value.map(|value| value as f64);
        vec![
            gauge_of(
                "process_resident_memory_bytes",
                "Memory that this process has in RAM.",
                whole(reading.resident_bytes),
            ),
            gauge_of(
                "edgeseal_memory_limit_bytes",
                "What the control group of this process may have; absent where there is no limit.",
                whole(reading.limit_bytes),
            ),
            gauge_of("process_open_fds", "Open file descriptors.", whole(reading.open_fds)),
            gauge_of("process_max_fds", "File descriptors that may be open.", whole(reading.max_fds)),
            family(
                "process_cpu_seconds_total",
                "Processor time spent, user and system.",
                proto::MetricType::COUNTER,
                reading.cpu_seconds.map(real_counter).into_iter().collect(),
            ),
            gauge_of("process_start_time_seconds", "When this process began.", reading.start_time),
        ]
    }
}

impl Reading {
    fn take() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let stat = read("/proc/self/stat");
        let status = read("/proc/self/status");
        Self {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            limit_bytes: limit(&read("/proc/self/cgroup")),
            // The directory that is being read is open, too.
            open_fds: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|open| open.count().saturating_sub(1) as u64),
            max_fds: max_fds(&read("/proc/self/limits")),
            cpu_seconds: cpu_seconds(&stat),
            start_time: start_time(&stat, &read("/proc/stat")),
        }
    }
}

/// `VmRSS:     1234 kB`
fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// `Max open files            1024                 524288               files`
fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The 14th and 15th field; the second is a name in parentheses, which may have spaces in it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) as f64 / TICKS)
}

/// The 22nd field counts from when the machine began: `btime` of `/proc/stat`.
fn start_time(stat: &str, machine: &str) -> Option<f64> {
    let began: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(began as f64 + field(stat, 22)? as f64 / TICKS)
}

fn field(stat: &str, number: usize) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// In a container the group is the root of what is seen; elsewhere it is the one that `/proc/self/cgroup` names.
fn limit(cgroup: &str) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = PathBuf::from("/sys/fs/cgroup");
    let files = [root.join(path).join("memory.max"), root.join("memory.max")];
    files.iter().find_map(|file| std::fs::read_to_string(file).ok()).as_deref().and_then(bytes)
}

/// A number, or `max`.
fn bytes(limit: &str) -> Option<u64> {
    limit.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 3 0 12345 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(start_time(stat, "cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_123.45));
        assert_eq!(kilobytes("Name:\ta\nVmRSS:\t    2048 kB\n", "VmRSS:"), Some(2 << 20));
        let limits =
            "Limit  Soft  Hard  Units\nMax open files            1024                 524288     files\n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!((bytes("1073741824\n"), bytes("max\n")), (Some(1 << 30), None));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        for text in ["", "7 (", ")", "7 (x) S", "VmRSS:", "Max open files", "btime x"] {
            assert_eq!(
                (cpu_seconds(text), start_time(text, text), max_fds(text)),
                (None, None, None),
                "{text}"
            );
            assert_eq!((kilobytes(text, "VmRSS:"), limit(text)), (None, None), "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_files_and_a_beginning() {
        let Reading { resident_bytes, open_fds, max_fds, cpu_seconds, start_time, .. } = Reading::take();
        assert!(resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{resident_bytes:?}");
        assert!(open_fds.is_some_and(|open| open > 2) && max_fds >= open_fds, "{open_fds:?} {max_fds:?}");
        assert!(cpu_seconds.is_some() && start_time.is_some_and(|began| began > 1.6e9), "{start_time:?}");
    }
}
