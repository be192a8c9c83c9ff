//! Debug information from a debuginfod server: Debian's own, on loopback.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::{copy_program, free_port, skip, Fixture, Home, LONG, SOON};

/// A server of the ELF files in a directory.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// One that has read the directory: it knows the build-id. `None`, said aloud, where it is not installed.
    fn start_or_skip(directory: &Path, build_id: &str) -> Option<Server> {
        let port = free_port().to_string();
        let mut command = Command::new("debuginfod");
        command.args(["-d", ":memory:", "-t", "0", "-g", "0", "-p", &port, "-F"]).arg(directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove("DEBUGINFOD_URLS");
        let Ok(child) = command.spawn() else {
            skip("debuginfod is not installed (scripts/setup installs it)");
            return None;
        };
        let server = Server { child, url: format!("http://127.0.0.1:{port}") };
        let end = Instant::now() + LONG;
        while !server.knows(build_id) {
            assert!(Instant::now() < end, "debuginfod does not find {build_id}");
            std::thread::yield_now();
        }
        Some(server)
    }

    fn knows(&self, build_id: &str) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.url.trim_start_matches("http://")) else { return false };
        let request = format!("GET /buildid/{build_id}/debuginfo HTTP/1.0\r\n\r\n");
        let mut answer = [0; 12];
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.ends_with(b"200")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the fixture's build without symbols in `directory`, and its build-id.
fn stripped(directory: &Path, fixture: &Fixture) -> (PathBuf, String) {
    let program = directory.join("stripped");
    let done =
        Command::new("objcopy").args(["--strip-all"]).arg(fixture.path()).arg(&program).status().expect("objcopy");
    assert!(done.success());
    let notes = Command::new("readelf").arg("-n").arg(&program).output().expect("readelf");
    let text = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).expect("a build-id").to_owned();
    (program, id)
}

#[test]
fn a_stripped_program_gets_its_names_from_a_server_when_the_user_says_so_and_from_the_cache_afterwards() {
    let home = Home::new();
    let fixture = &Fixture::get("hits");
    let (program, id) = stripped(home.path(), fixture);
    let served = tempfile::tempdir().expect("a temporary directory");
    copy_program(fixture.path(), &served.path().join("hits"));
    let Some(server) = Server::start_or_skip(served.path(), &id) else { return };
    let url = server.url.clone();
    let run = |options: &[&str]| {
        let mut command = home.command(options.iter().copied().chain(["run", "--batch", "--stop-at-entry"]));
        command.args(["--ex", "break main", "--ex", "info sharedlibrary", "--ex", "kill", "--"]).arg(&program);
        command.env("DEBUGINFOD_URLS", &url).env_remove("DEBUGINFOD_CACHE_PATH");
        crate::support::Process::spawn(command).finish(LONG)
    };
    let kept = home.path().join("cache/debuginfod_client").join(&id).join("debuginfo");
    let unasked = run(&[]);
    assert!(!kept.exists() && !unasked.stdout.contains("debug information is here"), "{unasked:?}");
    let asked = run(&["--debuginfod"]);
    assert!(asked.stdout.contains("stripped: its debug information is here"), "{asked:?}");
    assert!(asked.stdout.contains("hits.c:") && kept.is_file(), "{asked:?}");
    let path = kept.to_str().unwrap();
    assert!(asked.stdout.lines().any(|line| line.contains(path)), "{asked:?}");
    drop(server);
    let later = run(&[]);
    assert!(later.stdout.contains("hits.c:"), "{later:?}");
}

#[test]
fn what_a_server_does_not_have_and_a_server_that_is_none_cost_a_line_each() {
    let home = Home::new();
    let (program, _) = stripped(home.path(), &Fixture::get("hits"));
    let port = free_port();
    let mut command =
        home.command(["--debuginfod", "run", "--batch", "--stop-at-entry", "--ex", "break nowhere", "--"]);
    command.arg(&program).env("DEBUGINFOD_URLS", format!("http://127.0.0.1:{port}"));
    let output = crate::support::Process::spawn(command).finish(SOON);
    assert!(output.stdout.contains("stripped: no debug information: http://127.0.0.1:"), "{output:?}");
    let mut command = home.command(["--debuginfod", "run", "--batch", "--stop-at-entry", "--ex", "kill", "--"]);
    command.arg(&program).env_remove("DEBUGINFOD_URLS");
    let output = crate::support::Process::spawn(command).finish(SOON);
    assert!(output.stderr.contains("debuginfod: no server is known"), "{output:?}");
}
