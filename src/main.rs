//! Wiring only: reads the command line, starts the engine, runs one front end, and turns the result into an exit
//! status.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use rdbg::api::{ApiError, ClientId, Session};
use rdbg::frontend::cli::parse_args;
use rdbg::frontend::socket::{Connect, SocketHost};
use rdbg::frontend::{self, Surroundings};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let (plan, options) = match parse_args(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    if let Err(error) = start_log(options.log_filter.as_deref()) {
        eprintln!("error: --log-filter: {error:#}");
        return ExitCode::from(2);
    }
    let surroundings = Surroundings {
        host: Arc::new(Machine),
        interrupts: crossbeam_channel::never(),
        start_engine: Box::new(start_engine),
        symbols: Box::new(|_| Err(ApiError::internal("`symbols` is not wired yet"))),
        restore_terminal: Box::new(|| ()),
        home: std::env::var_os("HOME").map(PathBuf::from),
        state_home: std::env::var_os("XDG_STATE_HOME").map(PathBuf::from),
    };
    let status = frontend::run(plan, &options, surroundings);
    ExitCode::from(u8::try_from(status).unwrap_or(1))
}

fn start_log(filter: Option<&str>) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter.unwrap_or("warn"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    Ok(())
}

/// The one place where the engine is started: `rdbg::engine::spawn(Config {})`, whose handle gives the sessions.
fn start_engine() -> Arc<dyn Connect> {
    Arc::new(|client: ClientId| {
        let (requests, _) = crossbeam_channel::unbounded();
        let wake = rdbg::api::session::wake::Wake(Arc::new(|| ()));
        Session { client, requests, events: crossbeam_channel::never(), wake }
    })
}

/// The machine, through os.
struct Machine;

impl SocketHost for Machine {
    fn runtime_dir(&self) -> io::Result<PathBuf> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn peer_uid(&self, _: &UnixStream) -> io::Result<u32> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn own_uid(&self) -> u32 {
        u32::MAX
    }
}
