//! Starting a program under rdbg: fork, wait until the tracer has seized the child, then exec.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::base::Pid;

use super::error::last_errno;
use super::OsError;

/// What to start, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchSpec {
    /// The file, or a name to be looked up in PATH.
    pub program: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<OsString>,
    /// Variables set over rdbg's own environment.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, if not rdbg's.
    pub cwd: Option<PathBuf>,
    /// Standard input, output and error.
    pub stdio: Stdio,
    /// Address space randomisation.
    pub aslr: Aslr,
    /// The system calls that alone are reported to the tracer ([`super::call_filter`]); none: no filter.
    pub reported_calls: Vec<u32>,
}

impl LaunchSpec {
    /// `program` with no arguments, rdbg's environment, directory and terminal, and the randomisation left as it is.
    pub fn new(program: impl Into<PathBuf>) -> LaunchSpec {
        LaunchSpec {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            stdio: Stdio::Inherit,
            aslr: Aslr::Keep,
            reported_calls: Vec::new(),
        }
    }
}

/// Where the program's standard streams lead.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Stdio {
    /// Where rdbg's own lead.
    #[default]
    Inherit,
    /// To /dev/null, all three.
    Null,
    /// To files; those not given are inherited. Output files are created and truncated.
    Files {
        /// Standard input.
        stdin: Option<PathBuf>,
        /// Standard output.
        stdout: Option<PathBuf>,
        /// Standard error.
        stderr: Option<PathBuf>,
    },
}

/// Whether the kernel places the program at random addresses (personality(2)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Aslr {
    /// As for any other program.
    #[default]
    Keep,
    /// ADDR_NO_RANDOMIZE.
    Disable,
}

/// A child that waits to be seized. Dropping it without [`Launched::release`] ends the child.
#[derive(Debug)]
pub struct Launched {
    /// The child.
    pub pid: Pid,
    program: PathBuf,
    go: Option<File>,
    failure: File,
}

/// How long [`Launched::release`] waits to hear of the exec. It can be held up by a signal that stops the child first.
const EXEC_PATIENCE: Duration = Duration::from_secs(2);
/// Descriptors from here on are left to the exec.
const HIGHEST_CLOSED: RawFd = 1024;
/// The child's status when it could not exec, as a shell's.
const EXEC_FAILED: i32 = 127;

impl Launched {
    /// Lets the child exec. Called once it is seized: the next thing its tracer hears is the exec event, at the
    /// program's first instruction. Fails with the errno of the exec, and then has collected the child.
    pub fn release(&mut self) -> Result<(), OsError> {
        if let Some(mut go) = self.go.take() {
            // EPIPE: the child was killed meanwhile, which the wait reports.
            let _ = go.write_all(&[1]);
        }
        match self.exec_error(EXEC_PATIENCE) {
            None => Ok(()),
            Some(source) => {
                self.reap();
                Err(OsError::Exec { program: self.program.clone(), source })
            }
        }
    }

    /// Another name of [`Launched::release`].
    pub fn seized_go(&mut self) -> Result<(), OsError> {
        self.release()
    }

    /// The errno of a failed exec, once the child has reported it; `None` when the exec went through (the pipe closes
    /// at the exec) or `patience` ended before.
    pub fn exec_error(&mut self, patience: Duration) -> Option<io::Error> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut poll = libc::pollfd { fd: self.failure.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd is passed, and it lives over the call.
            match unsafe { libc::poll(&mut poll, 1, left.as_millis() as i32) } {
                0 => return None,
                -1 if last_errno() == libc::EINTR => {}
                _ => break,
            }
        }
        let mut errno = [0; 4];
        self.failure.read_exact(&mut errno).ok()?;
        Some(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
    }

    /// Waits for the end of a child that could not exec, whatever stops its tracer would be told of.
    fn reap(&self) {
        // SAFETY: kill, waitpid and ptrace get numbers and a pointer to a live int. The child is this thread's own, not
        // yet collected, so that its pid is no other's.
        unsafe {
            libc::kill(self.pid.0, libc::SIGKILL);
            let mut status = 0;
            loop {
                match libc::waitpid(self.pid.0, &mut status, libc::__WALL) {
                    -1 if last_errno() == libc::EINTR => {}
                    -1 => break,
                    // PTRACE_EVENT_EXIT stops even what SIGKILL ends.
                    _ if libc::WIFSTOPPED(status) => {
                        libc::ptrace(libc::PTRACE_CONT, self.pid.0, 0, 0);
                    }
                    _ => break,
                }
            }
        }
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if self.go.take().is_some() {
            self.reap();
        }
    }
}

/// Forks a child that blocks until it is released. To be called on the tracer thread, whose wait will report it.
///
/// The child leads a process group of its own, so that Ctrl-C at rdbg's terminal reaches rdbg only. It is not made the
/// terminal's foreground group: a program that reads the terminal gets SIGTTIN.
pub fn launch(spec: &LaunchSpec) -> Result<Launched, OsError> {
    let program = find_program(&spec.program)?;
    let prepared = Prepared::new(spec, &program)?;
    let (go_read, go_write) = pipe()?;
    let (failure_read, failure_write) = pipe()?;
    // SAFETY: the child of a threaded process may call only async-signal-safe functions: `Prepared::run` makes nothing
    // but system calls on what was allocated before.
    match unsafe { libc::fork() } {
        -1 => Err(OsError::last("fork")),
        0 => {
            // The child must not hold the end that tells of the parent's death.
            // SAFETY: closes this process's own copy of a descriptor that is not used again: run never returns.
            unsafe { libc::close(go_write.as_raw_fd()) };
            prepared.run(go_read.as_raw_fd(), failure_write.as_raw_fd())
        }
        pid => Ok(Launched { pid: Pid(pid), program, go: Some(go_write), failure: failure_read }),
    }
}

/// A pipe, read end first, closed at an exec.
fn pipe() -> Result<(File, File), OsError> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: pipe2 writes two descriptors to the array.
    if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(OsError::last("pipe2"));
    }
    // SAFETY: both were just opened, and nothing else owns them.
    Ok(unsafe { (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1])) })
}

/// Looks `program` up as execvp(3) does: a path with a slash is taken from rdbg's directory, a name in PATH.
pub fn find_program(program: &Path) -> Result<PathBuf, OsError> {
    let missing = |searched: String| OsError::NoSuchProgram { program: program.to_owned(), searched };
    if program.as_os_str().as_bytes().contains(&b'/') {
        let path = std::path::absolute(program).map_err(|source| OsError::file(program, source))?;
        return if path.is_file() { Ok(path) } else { Err(missing("that path".to_owned())) };
    }
    let search = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&search)
        .map(|directory| if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory })
        .map(|directory| directory.join(program))
        .find(|path| is_executable(path))
        .map(|path| std::path::absolute(&path).unwrap_or(path))
        .ok_or_else(|| missing(search.to_string_lossy().into_owned()))
}

/// Whether `path` is a regular file with an execute bit.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Everything the child needs, allocated before the fork.
struct Prepared {
    program: CString,
    argv: Pointers,
    envp: Pointers,
    cwd: Option<CString>,
    /// What becomes descriptor 0, 1, 2.
    stdio: [Option<File>; 3],
    aslr: Aslr,
    filter: Vec<libc::sock_filter>,
}

/// A NULL-terminated array of C strings, and what it points to.
struct Pointers {
    _strings: Vec<CString>,
    array: Vec<*const libc::c_char>,
}

impl Pointers {
    fn new(strings: Vec<CString>) -> Pointers {
        // A CString's bytes stay where they are when it moves.
        let array = strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Pointers { _strings: strings, array }
    }
}

fn c_string(text: &OsStr) -> Result<CString, OsError> {
    CString::new(text.as_bytes()).map_err(|_| OsError::NulByte(text.to_owned()))
}

impl Prepared {
    fn new(spec: &LaunchSpec, program: &Path) -> Result<Prepared, OsError> {
        let names = std::iter::once(spec.program.as_os_str()).chain(spec.args.iter().map(OsString::as_os_str));
        let argv = names.map(c_string).collect::<Result<Vec<_>, _>>()?;
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        for (name, value) in &spec.env {
            env.retain(|(known, _)| known != name);
            env.push((name.clone(), value.clone()));
        }
        let envp = env.into_iter().map(|(name, value)| {
            let mut text = name.into_vec();
            text.push(b'=');
            text.extend(value.into_vec());
            c_string(&OsString::from_vec(text))
        });
        Ok(Prepared {
            program: c_string(program.as_os_str())?,
            argv: Pointers::new(argv),
            envp: Pointers::new(envp.collect::<Result<Vec<_>, _>>()?),
            cwd: spec.cwd.as_deref().map(|path| c_string(path.as_os_str())).transpose()?,
            stdio: open_stdio(&spec.stdio)?,
            aslr: spec.aslr,
            filter: super::call_filter::program(&spec.reported_calls),
        })
    }

    /// The child. Makes system calls only; ends in the exec or in `_exit`.
    fn run(&self, go: RawFd, failure: RawFd) -> ! {
        // SAFETY: async-signal-safe calls on memory that was prepared before the fork and that this process has its own
        // copy of; the arrays are NULL-terminated.
        unsafe {
            let errno = self.try_exec(go, failure);
            libc::write(failure, std::ptr::from_ref(&errno).cast(), 4);
            libc::_exit(EXEC_FAILED)
        }
    }

    /// Closes at once what the exec will close: a copy of a fanotify group, or of another launch's pipe, kept while this
    /// child waits would keep the group's marks, or that launch's child. What is not CLOEXEC is the program's to inherit
    /// (a shell's `3<file`, a jobserver). See [`Prepared::run`].
    unsafe fn close_others(&self, go: RawFd, failure: RawFd) {
        for fd in 3..HIGHEST_CLOSED {
            let kept = fd == go || fd == failure || self.stdio.iter().flatten().any(|file| file.as_raw_fd() == fd);
            // SAFETY: fcntl and close get numbers; this process uses none of these descriptors again.
            unsafe {
                let flags = libc::fcntl(fd, libc::F_GETFD);
                if !kept && flags >= 0 && flags & libc::FD_CLOEXEC != 0 {
                    libc::close(fd);
                }
            }
        }
    }

    /// Returns the errno of what failed. See [`Prepared::run`].
    unsafe fn try_exec(&self, go: RawFd, failure: RawFd) -> i32 {
        // SAFETY: as for `run`.
        unsafe {
            libc::setpgid(0, 0);
            self.close_others(go, failure);
            let mut byte = 0u8;
            loop {
                match libc::read(go, std::ptr::from_mut(&mut byte).cast(), 1) {
                    1 => break,
                    -1 if *libc::__errno_location() == libc::EINTR => {}
                    // rdbg has died, or dropped the launch.
                    _ => libc::_exit(EXEC_FAILED),
                }
            }
            for (target, file) in self.stdio.iter().enumerate() {
                let Some(file) = file else { continue };
                if libc::dup2(file.as_raw_fd(), target as RawFd) < 0 {
                    return *libc::__errno_location();
                }
            }
            if let Some(cwd) = &self.cwd {
                if libc::chdir(cwd.as_ptr()) != 0 {
                    return *libc::__errno_location();
                }
            }
            if self.aslr == Aslr::Disable {
                let old = libc::personality(0xffff_ffff);
                libc::personality(old as libc::c_ulong | libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            }
            // The exec puts handlers back to the default, but keeps what is ignored (SIGPIPE, by Rust's runtime) and
            // what is blocked (rdbg's termination signals).
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            if !self.filter.is_empty() {
                // Whether it could be done is looked up by who asked for it.
                super::call_filter::install(&self.filter);
            }
            libc::execve(self.program.as_ptr(), self.argv.array.as_ptr(), self.envp.array.as_ptr());
            *libc::__errno_location()
        }
    }
}

fn open_stdio(stdio: &Stdio) -> Result<[Option<File>; 3], OsError> {
    let input = |path: &Path| File::open(path).map_err(|source| OsError::file(path, source));
    let output = |path: &Path| File::create(path).map_err(|source| OsError::file(path, source));
    Ok(match stdio {
        Stdio::Inherit => [None, None, None],
        Stdio::Null => {
            let null = Path::new("/dev/null");
            [Some(input(null)?), Some(output(null)?), Some(output(null)?)]
        }
        Stdio::Files { stdin, stdout, stderr } => [
            stdin.as_deref().map(input).transpose()?,
            stdout.as_deref().map(output).transpose()?,
            stderr.as_deref().map(output).transpose()?,
        ],
    })
}
