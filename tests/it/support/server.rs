//! A `tidewatch serve` process on free ports.

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::{Client, wait_for};

/// Time within which a server must be ready; generous, for a busy machine.
const READY_MAX: Duration = Duration::from_secs(30);
/// Time within which a server must have stopped after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(30);

/// A running (or killed) server. Dropping it kills the process and removes its directory.
pub struct Server {
    child: Option<Child>,
    // Keeps the directory until the end of the test; absent when the test brought its own.
    _temp: Option<TempDir>,
    dir: PathBuf,
    http_port: u16,
    statsd_port: u16,
    extra: Vec<String>,
    file_kib_max: Option<u64>,
}

impl Server {
    /// Starts a server on an empty data directory and waits until it is ready.
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// [`Server::start`] with further command line arguments.
    pub fn start_with(extra: &[&str]) -> Server {
        let temp = TempDir::new().expect("a temporary directory");
        let dir = temp.path().to_owned();
        let mut server = Server::new(&dir, extra);
        server._temp = Some(temp);
        server.restart();
        server
    }

    /// A server on `dir` (data in `dir/data`, log in `dir/log`) that is not yet started.
    pub fn new(dir: &Path, extra: &[&str]) -> Server {
        Server {
            child: None,
            _temp: None,
            dir: dir.to_owned(),
            http_port: free_port(),
            statsd_port: free_port(),
            extra: extra.iter().map(ToString::to_string).collect(),
            file_kib_max: None,
        }
    }

    /// From its next start on the process may not make a file larger than this (KiB): writes beyond
    /// it fail as on a full disk.
    pub fn limit_files(&mut self, file_kib_max: Option<u64>) {
        self.file_kib_max = file_kib_max;
    }

    /// Starts the process and waits until it is ready.
    pub fn restart(&mut self) {
        if let Err(status) = self.try_restart() {
            panic!("the server ended with {status} before it was ready:\n{}", self.log());
        }
    }

    /// Starts the process and waits until it is ready or has ended.
    pub fn try_restart(&mut self) -> Result<(), ExitStatus> {
        assert!(self.child.is_none(), "the server runs already");
        self.child = Some(self.command().spawn().expect("the tidewatch binary starts"));
        let client = self.client();
        let log = self.log_path();
        let child = self.child.as_mut().expect("just started");
        let what = format!("{} (log: {})", client.url("/-/ready"), log.display());
        let ended = wait_for(&what, READY_MAX, || match child.try_wait().expect("a child") {
            Some(status) => Some(Err(status)),
            None => client.get("/-/ready").ok().filter(|a| a.status == 200).map(|_| Ok(())),
        });
        if ended.is_err() {
            self.child = None;
        }
        ended
    }

    fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = self.program();
        command
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.http_port)])
            .args(["--statsd-listen", &format!("127.0.0.1:{}", self.statsd_port)])
            .arg("--data-dir")
            .arg(self.data_dir())
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log);
        command
    }

    /// The binary, under the limit on file sizes if there is one. The signal the limit sends is
    /// ignored, so that the write fails instead; `exec` keeps that, and the process number.
    fn program(&self) -> Command {
        let binary = env!("CARGO_BIN_EXE_tidewatch");
        let Some(kib) = self.file_kib_max else {
            return Command::new(binary);
        };
        let mut command = Command::new("bash");
        let script = format!("ulimit -f {kib} && trap '' XFSZ && exec \"$@\"");
        command.args(["-c", &script, "bash", binary]);
        command
    }

    /// Kills the process with SIGKILL: nothing is flushed.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("killed");
            child.wait().expect("ended");
        }
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        let mut child = self.child.take().expect("the server runs");
        wait_for("the server to stop after SIGTERM", STOP_MAX, || {
            child.try_wait().expect("a child")
        })
    }

    /// Sends the process the signal of this name.
    pub fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("the server runs");
        let kill = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        assert!(kill.expect("kill(1) is installed").success(), "{name} was not delivered");
    }

    /// Panics, with the log, when the process has ended.
    pub fn assert_alive(&mut self) {
        let child = self.child.as_mut().expect("the server runs");
        if let Some(status) = child.try_wait().expect("a child") {
            panic!("the server ended with {status}:\n{}", self.log());
        }
        let healthy = self.client().get("/-/healthy").expect("an answer");
        assert_eq!(healthy.status, 200, "{}", healthy.body);
        assert!(!self.log().contains("panicked at"), "a thread panicked:\n{}", self.log());
    }

    /// A client with a connection of its own.
    pub fn client(&self) -> Client {
        Client::new(self.http_port)
    }

    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    pub fn statsd_port(&self) -> u16 {
        self.statsd_port
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What the process wrote to stdout and stderr, of all its lives.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port free for TCP and UDP, below the range the kernel gives to outgoing connections, so that it
/// is still free after a restart.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 61;
        let port = 20_000 + u16::try_from(next % 12_000).expect("below 12000");
        let tcp = TcpListener::bind(("127.0.0.1", port));
        let udp = UdpSocket::bind(("127.0.0.1", port));
        if tcp.is_ok() && udp.is_ok() {
            return port;
        }
    }
}
