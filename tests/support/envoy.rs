//! The real Envoy, with ports and a base id of its own, alone or under the Go parent.

use super::process::Process;
use super::{free_port, procfs, skip, target_dir, unique_id, Fixture};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where the binary is.
#[derive(Clone, Debug)]
pub struct Envoy {
    path: PathBuf,
}

impl Envoy {
    /// RDBG_ENVOY, else target/real/envoy as scripts/setup leaves it. `None` after a loud note.
    pub fn find_or_skip() -> Option<Envoy> {
        let path = std::env::var_os("RDBG_ENVOY").map_or_else(|| target_dir().join("real/envoy"), PathBuf::from);
        if is_program(&path) {
            return Some(Envoy { path });
        }
        skip(&format!(
            "no Envoy that can be executed at {} (scripts/setup fetches it; RDBG_ENVOY names another)",
            path.display()
        ));
        None
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A copy with a name of its own (100 MB), for tests that wait for a name.
    #[track_caller]
    pub fn copy_as(&self, directory: &Path, name: &str) -> Envoy {
        let path = directory.join(name);
        super::copy_program(&self.path, &path);
        Envoy { path }
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub fn start(&self, config: &EnvoyConfig) -> Process {
        let mut command = Command::new(&self.path);
        command.args(config.args());
        let process = Process::spawn(command);
        config.wait_ready(&process, super::LONG);
        process
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// workerd from target/real/workerd (or RDBG_WORKERD): large, with symbols.
pub fn find_workerd_or_skip() -> Option<PathBuf> {
    let path = std::env::var_os("RDBG_WORKERD").map_or_else(|| target_dir().join("real/workerd"), PathBuf::from);
    if is_program(&path) {
        return Some(path);
    }
    skip(&format!(
        "no workerd that can be executed at {} (scripts/setup fetches it; RDBG_WORKERD names another)",
        path.display()
    ));
    None
}

/// A bootstrap with an admin port, a TCP listener (`virtualOutbound`) and an HTTP one (`virtualInbound`).
pub struct EnvoyConfig {
    directory: TempDir,
    pub admin_port: u16,
    pub outbound_port: u16,
    pub inbound_port: u16,
    pub base_id: u32,
}

impl Default for EnvoyConfig {
    fn default() -> EnvoyConfig {
        EnvoyConfig::new()
    }
}

impl EnvoyConfig {
    pub fn new() -> EnvoyConfig {
        let directory = tempfile::Builder::new().prefix("rdbg-envoy-").tempdir().expect("a temporary directory");
        let (admin_port, outbound_port, inbound_port) = (free_port(), free_port(), free_port());
        let template = include_str!("../../fixtures/envoy.yaml.in");
        let text = template
            .replace("@ADMIN@", &admin_port.to_string())
            .replace("@OUTBOUND@", &outbound_port.to_string())
            .replace("@INBOUND@", &inbound_port.to_string());
        std::fs::write(directory.path().join("envoy.yaml"), text).expect("a fresh directory");
        EnvoyConfig { directory, admin_port, outbound_port, inbound_port, base_id: unique_id() }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("envoy.yaml")
    }

    /// The arguments of Envoy: two workers, warnings only.
    pub fn args(&self) -> Vec<String> {
        let path = self.path().display().to_string();
        let base_id = self.base_id.to_string();
        ["-c", &path, "--concurrency", "2", "--base-id", &base_id, "-l", "warning"].map(str::to_owned).to_vec()
    }

    /// Waits until the HTTP listener answers.
    #[track_caller]
    pub fn wait_ready(&self, process: &Process, deadline: Duration) {
        let end = Instant::now() + deadline;
        while Instant::now() < end {
            if self.request().is_ok() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        process.fail(&format!("Envoy did not answer on port {} within {deadline:?}", self.inbound_port));
    }

    /// One request through the HTTP listener: its body is `hello from envoy`.
    pub fn request(&self) -> std::io::Result<String> {
        http_get(self.inbound_port, "/")
    }

    /// One request that comes in by the TCP listener and goes out to the HTTP one.
    pub fn request_through(&self) -> std::io::Result<String> {
        http_get(self.outbound_port, "/")
    }
}

impl Drop for EnvoyConfig {
    fn drop(&mut self) {
        // Envoy that is killed leaves its shared memory.
        let _ = std::fs::remove_file(format!("/dev/shm/envoy_shared_memory_{}0", self.base_id));
    }
}

/// An HTTP/1.1 request to 127.0.0.1; the whole answer, or an error where its status is not 200.
pub fn http_get(port: u16, path: &str) -> std::io::Result<String> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(answer)
    } else {
        Err(std::io::Error::other(format!("answer: {}", answer.lines().next().unwrap_or("none"))))
    }
}

/// The Go parent with a program under it.
pub struct PilotAgent {
    pub process: Process,
}

impl PilotAgent {
    /// `pilot-agent OPTIONS -- PROGRAM ARGS`; does not wait for the program.
    #[track_caller]
    pub fn start(options: &[&str], program: &Path, args: &[String]) -> PilotAgent {
        let mut command = Command::new(Fixture::get("pilot-agent").path());
        command.args(options).arg("--").arg(program).args(args);
        PilotAgent { process: Process::spawn(command) }
    }

    /// The pid of the program, once it has been started.
    #[track_caller]
    pub fn child_pid(&mut self, deadline: Duration) -> u32 {
        let line = self.process.expect_line("started ", deadline);
        let pid = line.text["started ".len()..].trim().parse().expect("a pid after `started`");
        self.process.watch(pid);
        pid
    }

    /// SIGTERM, handed on to the program; waits for both.
    #[track_caller]
    pub fn stop(&mut self, deadline: Duration) -> super::Output {
        self.process.signal("TERM");
        self.process.wait(deadline)
    }

    /// Names of the program's threads.
    pub fn thread_names(&self, pid: u32) -> Vec<String> {
        procfs::thread_names(pid)
    }
}
