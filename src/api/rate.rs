//! How often a place may be hit before it is disarmed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `--max-rate`, `set max-rate`: hits a second at one place of a breakpoint that does not stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxRate {
    /// As the setting says, else as is fit: [`MaxRate::OF_PATTERNS`] where many places can be meant.
    #[default]
    Fit,
    /// As often as it likes.
    Off,
    /// So many hits a second.
    PerSecond(u64),
}

impl MaxRate {
    /// The limit of what a pattern finds, hits a second: whoever writes one cannot know how hot its places are.
    pub const OF_PATTERNS: u64 = 10_000;
}

impl FromStr for MaxRate {
    type Err = String;

    /// `N`, `N/s`, `off`, `default`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" | "unlimited" => return Ok(Self::Off),
            "default" => return Ok(Self::Fit),
            _ => {}
        }
        let number = text.strip_suffix("/s").unwrap_or(text).parse().ok().filter(|number| *number > 0);
        number.map(Self::PerSecond).ok_or_else(|| format!("`{text}` is no rate; 1000/s, off and default are"))
    }
}

impl fmt::Display for MaxRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fit => {
                write!(f, "default ({}/s for regex, basename and catch syscall in log mode)", Self::OF_PATTERNS)
            }
            Self::Off => write!(f, "off"),
            Self::PerSecond(number) => write!(f, "{number}/s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_nonsense_is_refused() {
        for (text, rate) in [
            ("1000", MaxRate::PerSecond(1000)),
            ("5/s", MaxRate::PerSecond(5)),
            ("off", MaxRate::Off),
            ("default", MaxRate::Fit),
        ] {
            assert_eq!(text.parse(), Ok(rate), "{text}");
        }
        for bad in ["", "0", "-1", "5/m", "/s", "18446744073709551616", "1.5"] {
            assert!(bad.parse::<MaxRate>().is_err(), "{bad}");
        }
    }
}
