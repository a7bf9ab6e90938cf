//! CPU time and memory of a process and its descendants, from `/proc`.

use std::collections::HashMap;
use std::time::Duration;

/// One tick of the times in `/proc/<pid>/stat`. `USER_HZ` is 100 on x86 and ARM.
const TICK: Duration = Duration::from_millis(10);

/// A line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// The CPU time of the process and of its children that have ended.
    ticks: u32,
}

/// Returns the CPU time of a process and all its descendants, including those that have ended.
pub(crate) fn cpu_time(root: u32) -> Duration {
    TICK * ticks_of(root, &all_processes())
}

/// Returns the resident memory of a process in MiB, or 0 if it has ended.
pub(crate) fn resident_mib(process: u32) -> f64 {
    mib_of(process, "VmRSS:")
}

/// Returns the largest resident memory of a process in MiB since [`forget_peak`], or 0 if it has ended.
pub(crate) fn peak_mib(process: u32) -> f64 {
    mib_of(process, "VmHWM:")
}

/// Sets the largest resident memory of a process to the present one.
pub(crate) fn forget_peak(process: u32) -> std::io::Result<()> {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5")
}

fn mib_of(process: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    parse_kib(&status, name).map_or(0.0, |kib| f64::from(kib) / 1024.0)
}

fn all_processes() -> HashMap<u32, Stat> {
    let folders = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: u32| Some((id, parse_stat(&std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?)))
        .collect()
}

fn ticks_of(root: u32, all: &HashMap<u32, Stat>) -> u32 {
    let own = all.get(&root).map_or(0, |stat| stat.ticks);
    let children = all.iter().filter(|(_, stat)| stat.parent == root);
    own + children.map(|(id, _)| ticks_of(*id, all)).sum::<u32>()
}

/// Parses the fields behind the name, which may contain spaces and brackets.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    // utime, stime, cutime, cstime
    let times = fields.get(11..15)?.iter().map(|field| field.parse::<u32>().ok());
    Some(Stat { parent, ticks: times.sum::<Option<u32>>()? })
}

fn parse_kib(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_process_and_of_its_ended_children_are_added() {
        let line = "7 (a (b) c) S 3 7 7 0 -1 4194560 100 0 0 0 10 20 30 40 20 0 1 0 5 0 0";
        assert_eq!(parse_stat(line), Some(Stat { parent: 3, ticks: 100 }));
        assert_eq!(parse_stat("7 (a) S 3"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn descendants_count_and_other_processes_do_not() {
        let stat = |parent, ticks| Stat { parent, ticks };
        let all = HashMap::from([(2, stat(1, 1)), (3, stat(2, 10)), (4, stat(3, 100)), (5, stat(1, 1000))]);
        assert_eq!(ticks_of(2, &all), 111);
        assert_eq!(ticks_of(9, &all), 0);
    }

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\tx\nVmHWM:\t  30720 kB\nVmRSS:\t  20480 kB\nThreads:\t1\n";
        assert_eq!((parse_kib(status, "VmRSS:"), parse_kib(status, "VmHWM:")), (Some(20480), Some(30720)));
        assert_eq!(parse_kib("Name:\tx\n", "VmRSS:"), None);
        assert!(resident_mib(std::process::id()) > 0.1);
    }

    #[test]
    fn largest_memory_is_measured_anew() {
        let process = std::process::id();
        forget_peak(process).unwrap();
        let before = peak_mib(process);
        let large = vec![1_u8; 64 << 20];
        assert!(peak_mib(process) > before + 32.0, "{} bytes were not seen", large.len());
        drop(large);
        forget_peak(process).unwrap();
        assert!(peak_mib(process) < before + 32.0);
    }
}
