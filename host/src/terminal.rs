//! What is said on standard error besides a command's own output: notes, warnings, errors and progress.
//!
//! Colour and progress appear only on a terminal (and not where `NO_COLOR` is set); a log gets plain lines.

use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::interrupt::{self, Guard, Undo};

pub use linkgate_image::one_line as harmless;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Work that ends sooner draws nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const FRAME: Duration = Duration::from_millis(100);

/// Says why the program could not do what it was asked.
pub fn error(message: impl Display) {
    tell(ERROR, "error: ", message);
}

/// Says what went on differently from what one may expect.
pub fn warning(message: impl Display) {
    tell(WARNING, "warning: ", message);
}

/// Says what was done.
pub fn note(message: impl Display) {
    tell(Style::new(), "", message);
}

/// Where nobody can be told, the exit code still says it.
fn tell(style: Style, head: &str, message: impl Display) {
    let _ = Lines::new(&mut anstream::stderr()).styled(style, head, message);
}

/// Prints a line of a command's own output.
pub fn print(line: impl Display) -> io::Result<()> {
    print_all([line])
}

/// Prints lines of a command's own output.
pub fn print_all(lines: impl IntoIterator<Item = impl Display>) -> io::Result<()> {
    print_styled(Style::new(), lines)
}

/// Prints lines of a command's own output in a style.
pub fn print_styled(style: Style, lines: impl IntoIterator<Item = impl Display>) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let mut written = Lines::new(&mut out);
    for line in lines {
        written.styled(style, line, "")?;
    }
    out.flush()
}

/// What people read, line by line. Every word of it is [`harmless`], whoever it is from: a line ends where its writer says so,
/// and a style is begun by nobody else.
pub struct Lines<'w>(&'w mut dyn Write);

impl<'w> Lines<'w> {
    /// Lines that go to `out`, which drops styles that nobody sees.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self(out)
    }

    /// Writes a line.
    pub fn plain(&mut self, text: impl Display) -> io::Result<()> {
        self.styled(Style::new(), "", text)
    }

    /// Writes a line whose beginning is in a style.
    pub fn styled(&mut self, style: Style, head: impl Display, rest: impl Display) -> io::Result<()> {
        let (head, rest) = (harmless(&head.to_string()), harmless(&rest.to_string()));
        // At once, so that what others write to the same place stands before or after it.
        self.0.write_all(format!("{style}{head}{style:#}{rest}\n").as_bytes())
    }
}

/// JSON in which no character does anything to a terminal or a log: what is not [`harmless`] stands as JSON's escape, which
/// is the same data.
pub fn harmless_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = ' ';
    for character in text.chars() {
        let is_order = before == '#' && character == '#';
        // Line feeds lay the JSON out; those in a string are escaped already.
        let is_plain = character == '\n' || harmless(character.encode_utf8(&mut [0; 4])).starts_with(character);
        if is_plain && !is_order {
            shown.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // A string takes everything.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
        before = character;
    }
    shown
}

/// A terminal that does not show what is typed for as long as this lives. It shows it again, too, when a signal ends the
/// process meanwhile.
pub struct Hidden {
    terminal: File,
    before: Termios,
    _guard: Guard,
}

impl Hidden {
    /// Hides what is typed on the process's terminal; nothing if it has none.
    pub fn start() -> Option<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let hide = || {
            let (same, shown) = (terminal.try_clone()?, before.clone());
            let mut hiding = before.clone();
            hiding.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&terminal, OptionalActions::Now, &hiding)?;
            let undo: Undo = Box::new(move || {
                let _ = tcsetattr(&same, OptionalActions::Now, &shown);
            });
            Ok::<_, io::Error>(((), undo))
        };
        let ((), guard) = interrupt::undone(hide).ok()?;
        Some(Self {
            terminal,
            before,
            _guard: guard,
        })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
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
    fn a_line_is_one_whatever_is_in_it() {
        let mut written = Vec::new();
        let mut lines = Lines::new(&mut written);
        lines.plain("::error::a\n::error::b\u{1b}[2J").unwrap();
        lines.styled(ERROR, "a\u{1b}[0m", ": \r##[error]\u{202e}").unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            format!(
                "\\u{{3a}}:error::a\\n::error::b\\u{{1b}}[2J\n{ERROR}a\\u{{1b}}[0m{ERROR:#}: \\r#\\u{{23}}[error]\\u{{202e}}\n"
            )
        );
    }

    #[test]
    fn json_is_the_same_data() {
        let value = serde_json::json!({"a\u{202e}": "\u{7f}\n\u{9b}\u{e0041}\u{e9}😀", "b": ["::", "##[error]"]});
        for text in [value.to_string(), format!("{value:#}")] {
            let shown = harmless_json(&text);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert!(
                shown.contains("\\u202e") && shown.contains("\\udb40\\udc41") && shown.contains("\u{e9}😀"),
                "{shown}"
            );
            assert!(
                shown
                    .lines()
                    .all(|line| harmless(line).replace("#\\u{23}", "##") == line),
                "{shown}"
            );
        }
    }
}
