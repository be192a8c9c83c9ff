//! `set` and `show`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::names::{self, NameFiles};
use crate::api::{ApiError, FollowFork, MaxRate, SignalPolicy, Toggle};
use crate::base::{parse_span, show_span, Signal};
use crate::binary::VtableNames;
use crate::lang::typed::{Objects, Style};

/// What the user can set.
pub struct Settings {
    /// Which side of a fork stays in the session.
    pub follow_fork: FollowFork,
    /// Whether one thread's stop leaves the others running.
    pub non_stop: Toggle,
    /// Which threads go on with the one that is meant.
    pub scheduler_locking: SchedulerLocking,
    /// Stop after each exec of a debugged process.
    pub stop_on_exec: Toggle,
    /// How often a place may be hit that does not stop.
    pub max_rate: MaxRate,
    /// How long a target may stand before it goes on by itself; `None`: as long as the user likes.
    pub pause_budget: Option<Duration>,
    /// Whether a target gets a handler of SIGTRAP, for when rdbg is killed.
    pub safety_net: Toggle,
    /// Whether expressions may call functions of the program.
    pub allow_calls: Toggle,
    /// Whether `step` passes over the C++ and Rust libraries.
    pub skip_std: Toggle,
    /// Where separate files with names are.
    pub names: NameFiles,
    /// Which method stands in which slot, and the file that says so.
    pub vtable_names: Option<(PathBuf, Arc<VtableNames>)>,
    /// How many elements of a container, and characters of a string, are shown.
    pub print_elements: u64,
    /// Whether a pointer to a base is shown by the object's own class.
    pub print_object: Toggle,
    /// Policies that differ from the default.
    signals: BTreeMap<Signal, SignalPolicy>,
}

/// `set scheduler-locking`: which threads stand while one is let go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SchedulerLocking {
    /// None, but for as long as one instruction takes that cannot wait for another thread.
    Off,
    /// The others stand during stepi and nexti, calls and system calls included.
    Step,
    /// The others stand whatever lets the one go on.
    On,
}

impl SchedulerLocking {
    fn find_by_name(name: &str) -> Result<Self, ApiError> {
        match name {
            // gdb's default, which is the same where nothing is replayed.
            "off" | "replay" => Ok(Self::Off),
            "step" => Ok(Self::Step),
            "on" => Ok(Self::On),
            _ => Err(ApiError::user("scheduler-locking is off, step or on")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Step => "step",
            Self::On => "on",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            follow_fork: FollowFork::Parent,
            non_stop: Toggle::Off,
            scheduler_locking: SchedulerLocking::Off,
            stop_on_exec: Toggle::Off,
            skip_std: Toggle::On,
            allow_calls: Toggle::Off,
            safety_net: Toggle::Off,
            pause_budget: None,
            max_rate: MaxRate::Fit,
            names: NameFiles::default(),
            vtable_names: None,
            print_elements: 200,
            print_object: Toggle::On,
            signals: BTreeMap::new(),
        }
    }
}

/// The names that lldb gives to the same settings, and ours.
const NAMES: [(&str, &str); 19] = [
    ("allow-calls", "allow-calls"),
    ("max-rate", "max-rate"),
    ("pause-budget", "pause-budget"),
    ("safety-net", "safety-net"),
    ("print elements", "print elements"),
    ("print object", "print object"),
    ("skip-std", "skip-std"),
    ("symbols-from", "symbols-from"),
    ("symbols-force", "symbols-force"),
    ("sysroot", "sysroot"),
    ("debuginfod", "debuginfod"),
    ("debuginfod-urls", "debuginfod-urls"),
    ("vtable-names", "vtable-names"),
    ("follow-fork-mode", "follow-fork-mode"),
    ("target.process.follow-fork-mode", "follow-fork-mode"),
    ("non-stop", "non-stop"),
    ("scheduler-locking", "scheduler-locking"),
    ("stop-on-exec", "stop-on-exec"),
    ("target.process.stop-on-exec", "stop-on-exec"),
];

impl Settings {
    /// Sets one.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ApiError> {
        match canonical(name)? {
            "follow-fork-mode" => {
                self.follow_fork = match value {
                    "parent" => FollowFork::Parent,
                    "child" => FollowFork::Child,
                    "both" => FollowFork::Both,
                    _ => return Err(ApiError::user("follow-fork-mode is parent, child or both")),
                }
            }
            "safety-net" => self.safety_net = parse_toggle(value)?,
            "max-rate" => self.max_rate = value.parse().map_err(|error: String| ApiError::user(error))?,
            "pause-budget" => self.pause_budget = parse_pause_budget(value)?,
            "print elements" => {
                self.print_elements = match value {
                    "unlimited" | "0" => u64::MAX,
                    number => number.parse().map_err(|_| ApiError::user("print elements is a number, or unlimited"))?,
                }
            }
            "print object" => self.print_object = parse_toggle(value)?,
            "allow-calls" => self.allow_calls = parse_toggle(value)?,
            "skip-std" => self.skip_std = parse_toggle(value)?,
            name if names::SETTINGS.contains(&name) => self.names.set(name, value)?,
            "non-stop" => self.non_stop = parse_toggle(value)?,
            "vtable-names" => {
                let path = PathBuf::from(value);
                let names = crate::engine::names::files::read_vtable_names(&path)?;
                self.vtable_names = Some((path, names));
            }
            "scheduler-locking" => self.scheduler_locking = SchedulerLocking::find_by_name(value)?,
            _ => self.stop_on_exec = parse_toggle(value)?,
        }
        Ok(())
    }

    /// The settings and their values; of one, or all.
    pub fn show(&self, name: Option<&str>) -> Result<Vec<(String, String)>, ApiError> {
        let follow = match self.follow_fork {
            FollowFork::Parent => "parent",
            FollowFork::Child => "child",
            FollowFork::Both => "both",
        };
        let names = self.names.show();
        let table = self.vtable_names.as_ref().map_or("built in".into(), |(path, _)| path.to_string_lossy());
        let elements = match self.print_elements {
            u64::MAX => "unlimited".to_owned(),
            number => number.to_string(),
        };
        let all = [
            ("print elements", elements.as_str()),
            ("print object", toggle_name(self.print_object)),
            ("follow-fork-mode", follow),
            ("non-stop", toggle_name(self.non_stop)),
            ("max-rate", &self.max_rate.to_string()),
            ("pause-budget", &self.pause_budget.map_or_else(|| "off".to_owned(), show_span)),
            ("safety-net", toggle_name(self.safety_net)),
            ("skip-std", toggle_name(self.skip_std)),
            ("allow-calls", toggle_name(self.allow_calls)),
            ("scheduler-locking", self.scheduler_locking.name()),
            ("stop-on-exec", toggle_name(self.stop_on_exec)),
            ("vtable-names", &table),
        ];
        let wanted = name.map(canonical).transpose()?;
        let all = all.map(|(name, value)| (name.to_string(), value.to_string())).into_iter().chain(names);
        Ok(all.filter(|(one, _)| wanted.is_none_or(|name| name == *one)).collect())
    }

    /// How values are shown.
    pub fn style(&self) -> Style {
        let objects = if self.print_object == Toggle::On { Objects::Dynamic } else { Objects::Declared };
        Style { elements: self.print_elements, objects, ..Style::default() }
    }

    /// What is done with a signal; every field is set.
    pub fn signal_policy(&self, signal: Signal) -> SignalPolicy {
        let default = default_policy(signal);
        let own = self.signals.get(&signal).copied().unwrap_or_default();
        merge(default, own)
    }

    /// `handle`: stop implies print, and noprint implies nostop, as in gdb.
    pub fn handle(&mut self, signal: Signal, mut change: SignalPolicy) {
        if change.stop == Some(Toggle::On) {
            change.print = Some(Toggle::On);
        }
        if change.print == Some(Toggle::Off) {
            change.stop = Some(Toggle::Off);
        }
        let own = self.signals.entry(signal).or_default();
        *own = merge(*own, change);
    }
}

/// `over` where it says something, else `base`.
fn merge(base: SignalPolicy, over: SignalPolicy) -> SignalPolicy {
    SignalPolicy { stop: over.stop.or(base.stop), print: over.print.or(base.print), pass: over.pass.or(base.pass) }
}

/// Signals that programs use in their normal course pass unseen; the others stop, as in gdb. SIGURG is Go's preemption.
fn default_policy(signal: Signal) -> SignalPolicy {
    const QUIET: [i32; 8] = [14, 17, 20, 23, 27, 28, 29, 18];
    let quiet = QUIET.contains(&signal.0) || signal.0 >= 32;
    let seen = if quiet { Toggle::Off } else { Toggle::On };
    let pass = if signal == Signal::INT { Toggle::Off } else { Toggle::On };
    SignalPolicy { stop: Some(seen), print: Some(seen), pass: Some(pass) }
}

fn canonical(name: &str) -> Result<&'static str, ApiError> {
    NAMES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map(|(_, own)| *own)
        .ok_or_else(|| ApiError::user(format!("there is no setting `{name}`")).with_hint("`show` lists the settings"))
}

/// `on` or `off`, in the ways that people write them.
pub(super) fn parse_toggle(value: &str) -> Result<Toggle, ApiError> {
    match value {
        "on" | "true" | "1" | "yes" => Ok(Toggle::On),
        "off" | "false" | "0" | "no" => Ok(Toggle::Off),
        _ => Err(ApiError::user(format!("`{value}` is neither on nor off"))),
    }
}

/// A stop that is shorter could not be looked at.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

fn parse_pause_budget(value: &str) -> Result<Option<Duration>, ApiError> {
    if ["off", "unlimited", "0", "none"].contains(&value) {
        return Ok(None);
    }
    match parse_span(value) {
        Some(budget) if budget >= SHORTEST_PAUSE => Ok(Some(budget)),
        _ => Err(ApiError::user(format!("`{value}` is no pause budget"))
            .with_hint("a time of 100ms or more, as 5s, 1500ms or 2m; or off")),
    }
}

fn toggle_name(toggle: Toggle) -> &'static str {
    match toggle {
        Toggle::On => "on",
        Toggle::Off => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lldb_names_mean_the_same_settings() {
        let mut settings = Settings::default();
        settings.set("target.process.follow-fork-mode", "child").unwrap();
        assert_eq!(settings.follow_fork, FollowFork::Child);
        assert!(settings.set("follow-fork-mode", "sideways").is_err());
        assert!(settings.set("no-such-thing", "on").is_err());
        assert_eq!(settings.show(Some("non-stop")).unwrap(), [("non-stop".to_string(), "off".to_string())]);
    }

    #[test]
    fn a_pause_budget_is_a_time_or_off() {
        let mut settings = Settings::default();
        let shown = |settings: &Settings| settings.show(Some("pause-budget")).unwrap()[0].1.clone();
        assert_eq!(shown(&settings), "off");
        settings.set("pause-budget", "1500ms").unwrap();
        assert_eq!((settings.pause_budget, shown(&settings)), (Some(Duration::from_millis(1500)), "1.5s".to_owned()));
        for bad in ["", "5x", "-1s", "5ms", "nan"] {
            assert!(settings.set("pause-budget", bad).is_err(), "{bad}");
        }
        settings.set("pause-budget", "off").unwrap();
        assert_eq!(settings.pause_budget, None);
    }

    #[test]
    fn a_signal_policy_starts_as_gdbs_and_changes_field_by_field() {
        let mut settings = Settings::default();
        assert_eq!(settings.signal_policy(Signal::URG).stop, Some(Toggle::Off));
        assert_eq!(settings.signal_policy(Signal::SEGV).stop, Some(Toggle::On));
        let quiet = SignalPolicy { print: Some(Toggle::Off), ..SignalPolicy::default() };
        settings.handle(Signal::SEGV, quiet);
        let policy = settings.signal_policy(Signal::SEGV);
        assert_eq!((policy.stop, policy.pass), (Some(Toggle::Off), Some(Toggle::On)));
    }
}
