//! A disk that is full: writers are told, everybody else goes on, and nothing that was acknowledged
//! is lost.
//!
//! The disk is a small file system of its own where the test may mount one (as root), and a limit
//! on the size of files everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::support::client::Answer;
use super::support::remote_write::series;
use super::support::{Client, Rng, Server, now_ms, wait_for};

const SERIES: u64 = 20;
const SAMPLES_PER_BATCH: i64 = 400;
/// Batches of about 160 KB; far more than any of the disks here takes.
const BATCHES_MAX: i64 = 500;
const SOON: Duration = Duration::from_secs(20);
const FAULT: &str = "tidewatch_storage_write_fault";

/// A mounted file system in memory, unmounted on drop.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one of this size; `None`, with the reason printed, where that is not permitted.
    fn mount(at: PathBuf, size: &str) -> Option<Tmpfs> {
        fs::create_dir_all(&at).expect("a mount point");
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at).output();
        let output = output.expect("mount(8) is installed");
        if output.status.success() {
            return Some(Tmpfs(at));
        }
        println!("skipped, cannot mount: {}", String::from_utf8_lossy(&output.stderr).trim());
        None
    }

    fn resize(&self, size: &str) {
        let options = format!("remount,size={size}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.expect("mount(8) is installed").success(), "the mount has a new size");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a server that is still being killed may have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A server that keeps `kept` bytes of the disk free and is not yet started.
fn server(dir: &Path, kept: u64) -> Server {
    let config = dir.join("tidewatch.yml");
    fs::write(&config, format!("limits: {{disk_free_bytes: {kept}}}\n")).expect("written");
    Server::new(dir, &["--config", config.to_str().expect("UTF-8")])
}

/// Batch `number`: noise, which no encoding makes small.
fn write(client: &Client, number: i64, start: i64) -> Answer {
    let mut rng = Rng::new(number.unsigned_abs());
    let sets: Vec<_> = (0..SERIES)
        .map(|i| {
            let first = number * SAMPLES_PER_BATCH;
            let samples: Vec<(i64, f64)> = (first..first + SAMPLES_PER_BATCH)
                .map(|at| (start + at * 10, f64::from_bits(rng.next() >> 2)))
                .collect();
            series(&[("__name__", "noise"), ("i", &i.to_string())], &samples)
        })
        .collect();
    client.write(&sets).expect("an answer")
}

/// Writes until the first refusal; returns the batches acknowledged and the refusal.
fn fill(client: &Client, start: i64) -> (i64, Answer) {
    for number in 0..BATCHES_MAX {
        let answer = write(client, number, start);
        if answer.status != 204 {
            return (number, answer);
        }
    }
    panic!("{BATCHES_MAX} batches were acknowledged: the disk is not small");
}

/// Panics unless at least `batches` batches are stored, each sample of each series.
fn assert_stored(client: &Client, batches: i64, start: i64) {
    // The last acknowledged sample, so that what was not acknowledged does not count.
    let last = start + (batches * SAMPLES_PER_BATCH - 1) * 10;
    let counts = client.query_at("count_over_time(noise[3h])", last);
    assert_eq!(counts.len() as u64, SERIES);
    for series in counts {
        let expected = (batches * SAMPLES_PER_BATCH) as f64;
        assert_eq!(series.points[0].1, expected, "{:?}", series.labels);
    }
}

/// The whole story; `make_room` ends it well.
fn full_disk_story(mut server: Server, make_room: impl FnOnce(&mut Server)) {
    server.restart();
    let client = server.client();
    let start = now_ms() - 3_600_000;
    let (acknowledged, refusal) = fill(&client, start);
    println!("{acknowledged} batches acknowledged, then {}: {}", refusal.status, refusal.body);
    assert!(acknowledged > 0, "{}", refusal.body);
    assert_eq!(refusal.status, 500, "{}", refusal.body);
    assert!(refusal.body.contains("does not accept writes"), "{}", refusal.body);
    let again = write(&client, acknowledged, start);
    assert_eq!(again.status, 500, "{}", again.body);

    assert_stored(&client, acknowledged, start);
    assert_eq!(client.metric(FAULT), Some(1.0));
    wait_for("the log to say so", SOON, || {
        server.log().contains("writes are refused: ").then_some(())
    });
    server.assert_alive();

    // On the full disk it either starts, and answers, or says why not.
    server.kill();
    let before = server.log().len();
    match server.try_restart() {
        Ok(()) => assert_stored(&client, acknowledged, start),
        Err(_) => {
            let log = server.log()[before..].to_owned();
            println!("not started on the full disk: {log}");
            assert!(log.contains(&server.data_dir().display().to_string()), "{log}");
            assert!(!log.contains("panicked at"), "{log}");
        }
    }
    server.kill();
    make_room(&mut server);
    server.restart();
    assert_stored(&client, acknowledged, start);
    let more = write(&client, acknowledged, start);
    assert_eq!(more.status, 204, "{}", more.body);
    assert_stored(&client, acknowledged + 1, start);
    assert_eq!(client.metric(FAULT), Some(0.0));
}

#[test]
fn nothing_acknowledged_is_lost_on_a_full_disk() {
    let temp = TempDir::new().expect("a temporary directory");
    let Some(disk) = Tmpfs::mount(temp.path().join("data"), "16m") else { return };
    full_disk_story(server(temp.path(), 0), |_| disk.resize("256m"));
}

#[test]
fn nothing_acknowledged_is_lost_when_files_may_not_grow() {
    let temp = TempDir::new().expect("a temporary directory");
    let mut server = server(temp.path(), 0);
    server.limit_files(Some(8 << 10));
    full_disk_story(server, |server| server.limit_files(None));
}

#[test]
fn room_that_is_kept_free_is_named_and_writes_resume() {
    let temp = TempDir::new().expect("a temporary directory");
    let Some(disk) = Tmpfs::mount(temp.path().join("data"), "32m") else { return };
    let mut server = server(temp.path(), 64 << 20);
    server.restart();
    let client = server.client();
    let start = now_ms() - 3_600_000;
    let refused = write(&client, 0, start);
    assert_eq!(refused.status, 500, "{}", refused.body);
    assert!(refused.body.contains("67108864 are kept free"), "{}", refused.body);
    assert_eq!(client.metric(FAULT), Some(1.0));
    assert_eq!(client.query_at("1", now_ms())[0].points[0].1, 1.0);
    disk.resize("256m");
    wait_for("writes to be accepted again", SOON, || {
        (write(&client, 0, start).status == 204).then_some(())
    });
    assert_stored(&client, 1, start);
    for words in ["writes are refused: ", "writes are accepted again"] {
        wait_for(words, SOON, || server.log().contains(words).then_some(()));
    }
}

#[test]
fn a_read_only_disk_is_named() {
    let temp = TempDir::new().expect("a temporary directory");
    let Some(_disk) = Tmpfs::mount(temp.path().join("data"), "16m,ro") else { return };
    let mut server = server(temp.path(), 0);
    server.try_restart().expect_err("a start on a disk that cannot be written");
    let said = server.log();
    assert!(said.contains(&server.data_dir().display().to_string()), "{said}");
    assert!(said.contains("Read-only file system") && !said.contains("panicked at"), "{said}");
}
