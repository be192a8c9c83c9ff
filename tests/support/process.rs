//! A child process whose output is collected line by line, and that is waited for with a deadline only.

use super::{procfs, Fixture};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A line that the process wrote, without its end, and when it came after the start.
#[derive(Clone, Debug)]
pub struct Line {
    pub stream: Stream,
    pub text: String,
    pub after: Duration,
}

/// What is left of a process that has ended.
#[derive(Clone, Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The exit code; a process ended by a signal N gives 128 + N.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// The number in `name=number` on the last line of stdout that has one: what a fixture counted.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        find_count(&self.stdout, name).unwrap_or_else(|| panic!("no `{name}=` in:\n{}", self.stdout))
    }

    /// The hits of a breakpoint in the last table of breakpoints.
    #[track_caller]
    pub fn hits(&self, number: usize) -> u64 {
        let number = number.to_string();
        let rows = self.stdout.lines().rev().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut hits =
            rows.filter(|row| row.first() == Some(&number.as_str())).filter_map(|row| row.get(3)?.parse().ok());
        hits.next().unwrap_or_else(|| panic!("no row of breakpoint {number} in:\n{}", self.stdout))
    }

    #[track_caller]
    pub fn success(self) -> Output {
        assert!(self.status.success(), "{}\nstdout:\n{}\nstderr:\n{}", self.status, self.stdout, self.stderr);
        self
    }
}

pub(crate) fn find_count(text: &str, name: &str) -> Option<u64> {
    let words = text.lines().rev().flat_map(str::split_whitespace);
    words.into_iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

#[derive(Default)]
struct Seen {
    lines: Vec<Line>,
    /// The unfinished line of each stream: a prompt, mostly.
    partial: [String; 2],
    open_streams: usize,
}

struct Shared {
    seen: Mutex<Seen>,
    news: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A running child in a process group of its own. Ended, with its descendants in that group, when dropped.
pub struct Process {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
    cursor: usize,
    watched: Vec<u32>,
    status: Option<ExitStatus>,
}

impl Process {
    #[track_caller]
    pub fn spawn(mut command: Command) -> Process {
        let what = format!("{command:?}");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let seen = Mutex::new(Seen { open_streams: 2, ..Seen::default() });
        let shared = Arc::new(Shared { seen, news: Condvar::new() });
        let start = Instant::now();
        collect(child.stdout.take().expect("piped"), Stream::Stdout, start, Arc::clone(&shared));
        collect(child.stderr.take().expect("piped"), Stream::Stderr, start, Arc::clone(&shared));
        let stdin = child.stdin.take();
        Process { what, child, stdin, shared, cursor: 0, watched: Vec::new(), status: None }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Another process whose state is told when a deadline passes.
    pub fn watch(&mut self, pid: u32) {
        self.watched.push(pid);
    }

    /// Writes a line to stdin.
    #[track_caller]
    pub fn send(&mut self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin was closed by the test");
        let written = stdin.write_all(bytes).and_then(|()| stdin.flush());
        if let Err(error) = written {
            self.fail(&format!("stdin: {error}"));
        }
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal by name (`INT`, `TERM`, `KILL`) to this process alone.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for a line, after the last one that was expected, that contains the text.
    #[track_caller]
    pub fn expect_line(&mut self, text: &str, deadline: Duration) -> Line {
        self.expect(&format!("a line with {text:?}"), |line| line.text.contains(text), deadline)
    }

    /// Waits for a line, after the last one that was expected, for which `wanted` holds. An unfinished line (a prompt)
    /// counts once it fits.
    #[track_caller]
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Line) -> bool, deadline: Duration) -> Line {
        let end = Instant::now() + deadline;
        let shared = Arc::clone(&self.shared);
        let mut seen = shared.lock();
        loop {
            while let Some(line) = seen.lines.get(self.cursor) {
                self.cursor += 1;
                if wanted(line) {
                    return line.clone();
                }
            }
            for (index, stream) in [(0, Stream::Stdout), (1, Stream::Stderr)] {
                let line = Line { stream, text: seen.partial[index].clone(), after: Duration::ZERO };
                if !line.text.is_empty() && wanted(&line) {
                    seen.partial[index].clear();
                    return line;
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || seen.open_streams == 0 {
                let why =
                    if left.is_zero() { format!("within {deadline:?}") } else { "before the output ended".to_owned() };
                drop(seen);
                self.fail(&format!("{what} did not come {why}"));
            }
            seen = shared.news.wait_timeout(seen, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Fails if such a line has come so far (whether expected or not).
    #[track_caller]
    pub fn never_said(&self, text: &str) {
        let said = self.shared.lock().lines.iter().any(|line| line.text.contains(text));
        if said {
            self.fail(&format!("{text:?} was said"));
        }
    }

    /// Everything seen so far.
    pub fn lines(&self) -> Vec<Line> {
        self.shared.lock().lines.clone()
    }

    pub fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Closes stdin, waits for the end.
    #[track_caller]
    pub fn finish(&mut self, deadline: Duration) -> Output {
        self.close_stdin();
        self.wait(deadline)
    }

    /// Waits for the end, stdin left open.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> Output {
        let end = Instant::now() + deadline;
        let status = loop {
            if let Some(status) = self.poll() {
                break status;
            }
            if Instant::now() >= end {
                self.fail(&format!("it did not end within {deadline:?}"));
            }
            // Woken early by output, and every few milliseconds to look again.
            let seen = self.shared.lock();
            drop(self.shared.news.wait_timeout(seen, Duration::from_millis(5)));
        };
        // A descendant may still hold the pipes; what was written before the end is in them by now.
        let grace = Instant::now() + Duration::from_secs(2);
        let mut seen = self.shared.lock();
        while seen.open_streams > 0 && Instant::now() < grace {
            let waited = self.shared.news.wait_timeout(seen, Duration::from_millis(20));
            seen = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        let text = |stream, partial: &str| {
            let lines = seen.lines.iter().filter(|l| l.stream == stream).map(|l| format!("{}\n", l.text));
            lines.chain([partial.to_owned()]).collect::<String>()
        };
        let (stdout, stderr) = (text(Stream::Stdout, &seen.partial[0]), text(Stream::Stderr, &seen.partial[1]));
        Output { status, stdout, stderr }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("wait for a child");
        }
        self.status
    }

    /// Panics with all that was seen and the state of the processes.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        let mut text = format!("{}: {why}\n--- output so far:\n", self.what);
        let seen = self.shared.lock();
        for line in &seen.lines {
            let mark = if line.stream == Stream::Stderr { "!" } else { " " };
            text += &format!("{mark}{:>8.3} {}\n", line.after.as_secs_f64(), line.text);
        }
        for partial in seen.partial.iter().filter(|p| !p.is_empty()) {
            text += &format!("  (unfinished) {partial}\n");
        }
        text += "--- processes:\n";
        let mut pids = vec![self.pid()];
        pids.extend(procfs::descendants(self.pid()));
        pids.extend(&self.watched);
        pids.dedup();
        text += &pids.into_iter().map(procfs::describe).collect::<String>();
        drop(seen);
        panic!("{text}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        // Not by the number alone once the leader is reaped: it may have been given to another process by then.
        if self.poll().is_none() || !procfs::group_members(self.pid()).is_empty() {
            let group = format!("kill -KILL -- -{} 2>/dev/null", self.pid());
            let _ = Command::new("sh").args(["-c", &group]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by name to one process.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {pid} 2>/dev/null")]).status();
}

fn collect(mut from: impl Read + Send + 'static, stream: Stream, start: Instant, shared: Arc<Shared>) {
    std::thread::spawn(move || {
        let mut pending = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            pending.extend_from_slice(&buffer[..count]);
            let mut seen = shared.lock();
            if count == 0 {
                seen.open_streams -= 1;
                shared.news.notify_all();
                return;
            }
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let bytes: Vec<u8> = pending.drain(..=end).collect();
                // What a test has consumed as an unfinished line is not given again.
                let index = stream as usize;
                let whole = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
                seen.partial[index].clear();
                seen.lines.push(Line { stream, text: whole, after: start.elapsed() });
            }
            seen.partial[stream as usize] = String::from_utf8_lossy(&pending).into_owned();
            shared.news.notify_all();
        }
    });
}

/// A fixture that waits for a byte on stdin before it works (`--wait-stdin` is added), and says `ready <pid>` when it
/// does so.
pub struct Target {
    pub process: Process,
    pid: u32,
}

impl Target {
    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(fixture: &Fixture, args: impl IntoIterator<Item = S>) -> Target {
        Target::start_program(fixture.path().as_os_str(), args)
    }

    #[track_caller]
    pub fn start_program<S: AsRef<OsStr>>(program: &OsStr, args: impl IntoIterator<Item = S>) -> Target {
        let mut command = Command::new(program);
        command.arg("--wait-stdin").args(args);
        let mut process = Process::spawn(command);
        let line = process.expect_line("ready ", super::SOON);
        let pid = line.text["ready ".len()..].trim().parse().expect("a pid after `ready`");
        process.watch(pid);
        Target { process, pid }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it work (or, with `--hold`, after `done`: end).
    #[track_caller]
    pub fn release(&mut self) {
        self.process.send_bytes(b"\n");
    }

    /// With `--hold`: waits until the work is done and its counts are printed.
    #[track_caller]
    pub fn wait_done(&mut self, deadline: Duration) {
        self.process.expect_line("done ", deadline);
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> Output {
        self.process.wait(deadline)
    }

    /// The number in `name=number` on a line printed so far.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let text: String = self.process.lines().iter().map(|line| format!("{}\n", line.text)).collect();
        match find_count(&text, name) {
            Some(count) => count,
            None => self.process.fail(&format!("no `{name}=` was printed")),
        }
    }
}
