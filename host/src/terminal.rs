//! What is said on standard error besides a command's own output: notes, warnings, errors and progress.
//!
//! Colour and progress appear only on a terminal (and not where `NO_COLOR` is set); a log gets plain lines.

use std::fmt::{Arguments, Display};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Work that ends sooner draws nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const FRAME: Duration = Duration::from_millis(100);

/// Says why the program could not do what it was asked.
pub fn error(message: impl Display) {
    tell(format_args!("{ERROR}error:{ERROR:#} {message}"));
}

/// Says what went on differently from what one may expect.
pub fn warning(message: impl Display) {
    tell(format_args!("{WARNING}warning:{WARNING:#} {message}"));
}

/// Says what was done.
pub fn note(message: impl Display) {
    tell(format_args!("{message}"));
}

/// Where nobody can be told, the exit code still says it.
fn tell(message: Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{message}");
}

/// Prints a line of a command's own output.
pub fn print(line: impl Display) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Text by others in which no character moves a cursor, changes a colour or turns the direction of writing.
pub fn harmless(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character != '\t' && (character.is_control() || turns) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A terminal that does not show what is typed for as long as this lives. It shows it again, too, when the process is
/// interrupted meanwhile.
pub struct Hidden {
    terminal: File,
    before: Termios,
    interrupted: signal_hook::iterator::Handle,
    watching: Option<JoinHandle<()>>,
}

impl Hidden {
    /// Hides what is typed on the process's terminal; nothing if it has none.
    pub fn start() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).ok()?;
        let mut hiding = before.clone();
        hiding.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &hiding).ok()?;
        let interrupted = signals.handle();
        let watching = terminal.try_clone().ok().map(|terminal| {
            let before = before.clone();
            thread::spawn(move || {
                let mut signal = signals.forever().next();
                if signal.is_none() {
                    // It may have come with the end: what was interrupted ends first.
                    signal = signals.pending().next();
                }
                if let Some(signal) = signal {
                    let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            })
        });
        Some(Self {
            terminal,
            before,
            interrupted,
            watching,
        })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.interrupted.close();
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Counts work as it is done, and draws a bar if that takes long and someone is watching.
#[derive(Debug)]
pub struct Progress {
    done: Arc<AtomicU64>,
    drawing: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins work that is called `what`. How many bytes it consists of is asked only if someone is watching.
    pub fn start(what: &'static str, total: impl FnOnce() -> u64) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let drawing = io::stderr().is_terminal().then(|| {
            let total = total();
            let (stop, stopped) = mpsc::channel();
            let done = Arc::clone(&done);
            let thread = thread::spawn(move || {
                if stopped.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                bar.set_message(what);
                if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes}") {
                    bar.set_style(style);
                }
                while stopped.recv_timeout(FRAME) == Err(RecvTimeoutError::Timeout) {
                    bar.set_position(done.load(Ordering::Relaxed));
                }
                bar.finish_and_clear();
            });
            (stop, thread)
        });
        Self { done, drawing }
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.drawing.take() {
            drop(stop);
            // A bar that could not be drawn is no reason to fail.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_nothing_to_a_terminal() {
        assert_eq!(harmless("a\tb\u{e9}"), "a\tb\u{e9}");
        assert_eq!(harmless("\u{1b}[31mred\u{202e}\r"), "\\u{1b}[31mred\\u{202e}\\u{d}");
    }
}
