//! The log on standard error: one line an event, in which no character of others does anything but be seen.

use std::io::{self, Write};

use crate::terminal::{harmless, harmless_json};

/// What writes an event as one line of JSON, or of text.
pub fn writer(is_json: bool) -> impl Fn() -> Line {
    move || Line { is_json }
}

/// Writes one event, which is handed over whole.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    is_json: bool,
}

impl Line {
    /// The line of an event as it was formatted.
    fn of(self, event: &[u8]) -> String {
        let event = String::from_utf8_lossy(event);
        let event = event.strip_suffix('\n').unwrap_or(&event);
        let shown = if self.is_json {
            harmless_json(event)
        } else {
            harmless(event)
        };
        shown + "\n"
    }
}

impl Write for Line {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(self.of(event).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let text = writer(false)();
        assert_eq!(
            text.of("t  WARN a\n::error::b\u{202e}\n".as_bytes()),
            "t  WARN a\\n::error::b\\u{202e}\n"
        );
        let json = writer(true)();
        assert_eq!(
            json.of("{\"a\":\"\u{202e}\u{9b}\"}\n".as_bytes()),
            "{\"a\":\"\\u202e\\u009b\"}\n"
        );
    }
}
