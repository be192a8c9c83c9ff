//! Wiring only: reads the command line, starts the engine, runs one front end, and turns the result into an exit
//! status.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;
use rdbg::api::{ClientId, Command, Leave, Session};
use rdbg::base::Signal;
use rdbg::engine::{self, Handle, Port};
use rdbg::frontend::cli::{parse_args, Plan};
use rdbg::frontend::socket::{Connect, SocketHost};
use rdbg::frontend::{self, Interruption, Surroundings};
use rdbg::os::{self, OsError};
use tracing_subscriber::EnvFilter;

/// How long the front end gets to end by itself once rdbg is told to.
const PATIENCE: Duration = Duration::from_secs(3);

/// The tracer thread, as main knows it.
#[derive(Default)]
enum Tracer {
    /// Not started.
    #[default]
    Absent,
    /// It runs.
    Runs(Handle),
    /// The front end has ended.
    Leaves,
}

fn lock(tracer: &Mutex<Tracer>) -> MutexGuard<'_, Tracer> {
    tracer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let (plan, options) = match parse_args(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    if let Err(error) = start_log(options.log_filter.as_deref()) {
        eprintln!("error: --log-filter: {error:#}");
        return ExitCode::from(2);
    }
    // Before any thread is started.
    let guardian = match plan {
        Plan::Session(_) | Plan::Trace(_) => os::Guardian::start().unwrap_or_else(|error| {
            tracing::warn!(%error, "no guardian: nothing restores an attached program should rdbg be killed");
            os::Guardian::default()
        }),
        _ => os::Guardian::default(),
    };
    let running: Arc<Mutex<Tracer>> = Arc::default();
    let interrupts = match take_signals(running.clone()) {
        Ok(interrupts) => interrupts,
        Err(error) => {
            eprintln!("error: cannot take signals: {error}");
            return ExitCode::from(1);
        }
    };
    let terminal = os::Terminal::remember();
    let started = running.clone();
    let surroundings = Surroundings {
        host: Arc::new(Machine),
        interrupts,
        start_engine: Box::new(move || start_engine(&started, guardian)),
        names: Box::new(engine::answer_names),
        restore_terminal: Box::new(move || terminal.restore()),
        home: std::env::var_os("HOME").map(PathBuf::from),
        state_home: std::env::var_os("XDG_STATE_HOME").map(PathBuf::from),
    };
    // A fault of the front end's must not leave the target traced by nobody with our patches in it.
    let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| frontend::run(plan, &options, surroundings)));
    let tracer = std::mem::replace(&mut *lock(&running), Tracer::Leaves);
    if let Tracer::Runs(handle) = tracer {
        handle.port().terminate(Signal::TERM);
        handle.join();
    }
    ExitCode::from(ran.ok().and_then(|status| u8::try_from(status).ok()).unwrap_or(1))
}

fn start_log(filter: Option<&str>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter.unwrap_or("warn"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    Ok(())
}

/// Signals to rdbg, as the front end takes them. Before any thread starts, so that all of them block these signals.
fn take_signals(running: Arc<Mutex<Tracer>>) -> Result<Receiver<Interruption>, OsError> {
    os::block_signals()?;
    let (sender, receiver) = crossbeam_channel::unbounded();
    os::spawn_signal_thread(move |signal| {
        if signal == Signal::USR1 {
            // Never this process's end, which would leave the targets to the guardian.
            if let Tracer::Runs(handle) = &*lock(&running) {
                handle.port().tell_own_signal();
            }
            return;
        }
        let interruption = if signal == Signal::INT { Interruption::Interrupt } else { Interruption::Terminate };
        // A front end that has ended takes no more signals, and rdbg is about to end.
        let _ = sender.send(interruption);
        if interruption == Interruption::Terminate {
            let running = running.clone();
            std::thread::spawn(move || end_in_time(&running));
        }
    })?;
    Ok(receiver)
}

/// The front end may be held up where it writes, with nobody who reads: then the targets are let go without it.
fn end_in_time(running: &Mutex<Tracer>) {
    std::thread::sleep(PATIENCE);
    let port = match &*lock(running) {
        Tracer::Absent => None,
        Tracer::Runs(handle) => Some(handle.port()),
        // The front end has ended, and main waits for the engine.
        Tracer::Leaves => return,
    };
    if let Some(port) = port {
        // To say why it failed could be held up as well.
        let _ = port.session(ClientId(u32::MAX)).request(Command::Quit { leave: Leave::DetachAll });
    }
    std::process::exit(1);
}

/// The one place where the engine is started.
fn start_engine(running: &Mutex<Tracer>, guardian: os::Guardian) -> Arc<dyn Connect> {
    let handle = match engine::spawn(guardian) {
        Ok(handle) => handle,
        Err(error) => {
            eprintln!("error: the tracer thread cannot start: {error}");
            std::process::exit(1);
        }
    };
    let port = handle.port();
    *lock(running) = Tracer::Runs(handle);
    Arc::new(Engine(port))
}

/// Sessions with the engine.
struct Engine(Port);

impl Connect for Engine {
    fn connect(&self, client: ClientId) -> Session {
        self.0.session(client)
    }
}

/// The machine, through os.
struct Machine;

impl SocketHost for Machine {
    fn runtime_dir(&self) -> io::Result<PathBuf> {
        os::runtime_dir().map_err(io::Error::other)
    }

    fn peer_uid(&self, stream: &UnixStream) -> io::Result<u32> {
        os::peer_uid(stream).map_err(io::Error::other)
    }

    fn own_uid(&self) -> u32 {
        os::own_uid()
    }
}
