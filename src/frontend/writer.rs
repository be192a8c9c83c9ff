//! Writes what a trace prints, on a thread of its own: whoever reads it may be slow or gone, and Ctrl-C is heard meanwhile.

use std::io::{self, Write};
use std::time::Duration;

use crossbeam_channel::{after, never, unbounded, Receiver, Sender};

use super::surroundings::Interruption;
use crate::api::TraceStream;

/// So many texts are taken before the first of them has been written.
const AHEAD: usize = 4;
/// After so long the user is told what the end waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread that writes, seen from the one that has the texts.
pub struct Writer {
    texts: Sender<(TraceStream, String)>,
    /// For each text, how writing it went.
    pub written: Receiver<io::Result<()>>,
    unwritten: usize,
}

/// How writing the rest went.
#[derive(Debug)]
pub enum Rest {
    /// It is written.
    Written,
    /// It could not be.
    Failed(io::Error),
    /// Nobody read it, and the user did not want to wait.
    Abandoned,
}

impl Writer {
    /// Starts the thread.
    pub fn new(mut out: Box<dyn Write + Send>) -> io::Result<Writer> {
        let (texts, wanted) = unbounded::<(TraceStream, String)>();
        let (done, written) = unbounded();
        std::thread::Builder::new().name("rdbg-output".into()).spawn(move || {
            for (stream, text) in wanted {
                let result = match stream {
                    TraceStream::Out => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
                    // Without a standard error nobody is told; the trace goes on.
                    TraceStream::Err => io::stderr().lock().write_all(text.as_bytes()).or(Ok(())),
                };
                // Without a reader of the results nobody wants more written.
                if done.send(result).is_err() {
                    return;
                }
            }
        })?;
        Ok(Writer { texts, written, unwritten: 0 })
    }

    /// Has a text written, on standard error or where the output goes: in the order of the calls.
    pub fn write(&mut self, stream: TraceStream, text: String) {
        self.unwritten += 1;
        // The thread ends after this end of the channel does.
        let _ = self.texts.send((stream, text));
    }

    /// Whether another text may be taken before one has been written.
    pub fn has_room(&self) -> bool {
        self.unwritten < AHEAD
    }

    /// One of the results of [`Writer::written`] has been received.
    pub fn count_written(&mut self) {
        self.unwritten = self.unwritten.saturating_sub(1);
    }

    /// Waits until all is written, unless the user interrupts that. `tell` is called once when it takes long. An
    /// interrupt before that may have meant the trace, which has ended by itself: the rest gets the time until then.
    pub fn finish(&mut self, interrupts: &Receiver<Interruption>, tell: impl Fn()) -> Rest {
        let mut impatient = after(PATIENCE);
        let mut leave = Leave::Unasked;
        while self.unwritten > 0 {
            crossbeam_channel::select! {
                recv(self.written) -> result => match result {
                    Ok(Ok(())) => self.count_written(),
                    Ok(Err(error)) => return Rest::Failed(error),
                    Err(_) => return Rest::Failed(io::ErrorKind::BrokenPipe.into()),
                },
                recv(interrupts) -> _ => match leave {
                    Leave::Unasked => leave = Leave::Soon,
                    Leave::Soon | Leave::AtOnce => return Rest::Abandoned,
                },
                recv(impatient) -> _ => {
                    if leave == Leave::Soon {
                        return Rest::Abandoned;
                    }
                    tell();
                    impatient = never();
                    leave = Leave::AtOnce;
                }
            }
        }
        Rest::Written
    }
}

/// What an interrupt means while the rest is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    /// None has come.
    Unasked,
    /// One has come early: the next, or the end of patience, is the end.
    Soon,
    /// The user knows what is waited for.
    AtOnce,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes nothing, ever.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_interrupt_ends_the_wait_for_a_reader_that_does_not_read() {
        let (release, held) = unbounded();
        let (interrupt, interrupts) = unbounded();
        let mut writer = Writer::new(Box::new(Stuck(held))).unwrap();
        (0..AHEAD).for_each(|_| writer.write(TraceStream::Out, "x".into()));
        assert!(!writer.has_room());
        interrupt.send(Interruption::Interrupt).unwrap();
        assert!(matches!(writer.finish(&interrupts, || ()), Rest::Abandoned));
        drop(release);
        assert!(matches!(writer.finish(&interrupts, || ()), Rest::Written));
    }
}
