//! stub
use crate::base::{Pid, Tid};
pub enum WatchEvent {
    Method { chosen: WatchMethod, rejected: Vec<(WatchMethod, String)>, note: Option<String> },
    Exec { tid: Tid, answer: ExecAnswer },
    Candidate { pid: Pid },
    Failed(String),
}
pub struct ExecAnswer;
impl ExecAnswer {
    pub fn allow(&self) {}
    pub fn was_stopped(&self) -> bool {
        false
    }
}
#[derive(Clone, Copy)]
pub enum WatchMethod {
    Fanotify,
    Inotify,
    Scan,
}
impl std::fmt::Display for WatchMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
pub struct WatchSpec {
    pub name: String,
    pub methods: Option<Vec<WatchMethod>>,
}
pub struct ExecWatch;
impl ExecWatch {
    pub fn start(_: WatchSpec, _: Box<dyn Fn(WatchEvent) + Send>) -> Result<Self, super::OsError> {
        Ok(ExecWatch)
    }
}
