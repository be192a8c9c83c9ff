//! The terminal's settings, kept so that they can be put back (tcgetattr(3)).

use nix::sys::termios::{tcgetattr, tcsetattr, SetArg, Termios};

/// Standard input's settings as they were.
pub struct Terminal {
    settings: Option<Termios>,
}

impl Terminal {
    /// The settings now; nothing where standard input is no terminal.
    pub fn remember() -> Terminal {
        Terminal { settings: tcgetattr(std::io::stdin()).ok() }
    }

    /// Puts them back. A terminal that has gone needs no settings.
    pub fn restore(&self) {
        if let Some(settings) = &self.settings {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, settings);
        }
    }
}
