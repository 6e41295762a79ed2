//! The step's command: started with the caller's standard streams, waited for, and killed with all it started when its
//! time is up.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::interrupt::{self, Others};
use crate::secret;

/// Bytes of each stream that a link keeps: logs of real builds are below it, and two of them fit a document's limit.
pub const STREAM_BYTES: usize = 16 << 20;
/// Bytes of the end of what a command prints: more lines than a person reads.
const TAIL_BYTES: usize = 16 << 10;
/// How long a stream may stay open after the command ended: something that it left running holds it.
const LINGER: Duration = Duration::from_secs(1);

/// How a command is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'f> {
    /// The folder that it runs in; the current one if none is given.
    pub folder: Option<&'f Path>,
    /// What becomes of what it prints.
    pub streams: Streams,
    /// The time that it has. With a limit it runs in a process group of its own, which is killed as a whole, and so it
    /// cannot read from the terminal; signals that end linkgate are passed on to it.
    pub timeout: Option<Duration>,
}

/// What becomes of what a command prints, and where it reads from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// All goes through.
    #[default]
    Passed,
    /// What it prints is kept, besides being passed through as it comes.
    Kept,
    /// It reads nothing, and of what it prints to either stream only the end is kept.
    Tail,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is nothing to run.
    #[error("the command is empty")]
    Empty,
    /// It was not started.
    #[error("cannot run `{program}`: {cause}")]
    Start {
        /// What was to be run.
        program: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It was started, and then lost.
    #[error("cannot wait for `{program}`: {cause}")]
    Wait {
        /// What was run.
        program: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It took too long.
    #[error("`{program}` did not end within {} s and was killed with all it had started", .limit.as_secs())]
    Timeout {
        /// What was run.
        program: String,
        /// How long it had.
        limit: Duration,
    },
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    status: ExitStatus,
    /// What it printed to standard output, if that was kept.
    pub stdout: Stream,
    /// What it printed to standard error, if that was kept.
    pub stderr: Stream,
    /// The end of what it printed to both, if only that was kept.
    pub tail: Stream,
    /// Whether a signal that would have ended linkgate was passed on to it.
    pub interrupted: bool,
}

impl Outcome {
    /// The exit code; 128 + n where signal n ended the command, as shells have it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.signal())
    }

    /// The exit code; -n where signal n ended the command, as Python and so in-toto have it.
    pub fn code_as_in_toto(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.signal())
    }

    fn signal(&self) -> i32 {
        self.status.signal().unwrap_or_default()
    }
}

/// What was printed to one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Whether there was more than is kept.
    pub truncated: bool,
}

impl Stream {
    /// As text; what is no UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn keep(&mut self, block: &[u8]) {
        let room = STREAM_BYTES - self.bytes.len();
        self.truncated |= block.len() > room;
        self.bytes.extend_from_slice(&block[..block.len().min(room)]);
    }

    fn keep_end(&mut self, block: &[u8]) {
        self.bytes.extend_from_slice(block);
        let before = self.bytes.len().saturating_sub(TAIL_BYTES);
        self.truncated |= before > 0;
        self.bytes.drain(..before);
    }
}

/// Runs a command to its end.
pub fn run(words: &[String], options: Options<'_>) -> Result<Outcome, CommandError> {
    let (program, arguments) = words.split_first().ok_or(CommandError::Empty)?;
    let mut command = secret::child(program);
    command.args(arguments);
    if let Some(folder) = options.folder {
        command.current_dir(folder);
    }
    let start = |cause| CommandError::Start {
        program: program.clone(),
        cause,
    };
    let both = match options.streams {
        Streams::Passed => None,
        Streams::Kept => {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            None
        }
        Streams::Tail => {
            // One pipe, so that lines stay in their order.
            let (reader, writer) = io::pipe().map_err(start)?;
            command
                .stdin(Stdio::null())
                .stderr(writer.try_clone().map_err(start)?)
                .stdout(writer);
            Some(reader)
        }
    };
    // Before the command begins: a signal that comes until it has begun is passed on to it, too.
    let limited = options.timeout.map(|limit| {
        command.process_group(0);
        (limit, interrupt::received())
    });
    let mut child = command.spawn().map_err(start)?;
    // It holds the writing end of the pipe.
    drop(command);
    let stdout = child
        .stdout
        .take()
        .map(|stream| Tee::start(stream, io::stdout(), Stream::keep));
    let stderr = child
        .stderr
        .take()
        .map(|stream| Tee::start(stream, io::stderr(), Stream::keep));
    let tail = both.map(|both| Tee::start(both, io::sink(), Stream::keep_end));
    let lost = |cause| CommandError::Wait {
        program: program.clone(),
        cause,
    };
    let (status, interrupted) = match limited {
        None => (child.wait().map_err(lost)?, false),
        Some((limit, signals)) => {
            wait_at_most(&mut child, limit, signals)
                .map_err(lost)?
                .ok_or_else(|| CommandError::Timeout {
                    program: program.clone(),
                    limit,
                })?
        }
    };
    Ok(Outcome {
        status,
        stdout: stdout.map(Tee::finish).unwrap_or_default(),
        stderr: stderr.map(Tee::finish).unwrap_or_default(),
        tail: tail.map(Tee::finish).unwrap_or_default(),
        interrupted,
    })
}

/// Waits for the leader of a process group, and says whether a signal was passed on to it; none if the time was up and the
/// group was killed.
fn wait_at_most(
    child: &mut Child,
    limit: Duration,
    (passed_on, signals): (Others, Receiver<i32>),
) -> io::Result<Option<(ExitStatus, bool)>> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (late, interrupted) = (AtomicBool::new(false), AtomicBool::new(false));
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            for signal in signals {
                interrupted.store(true, Ordering::SeqCst);
                pass_on(group, Signal::from_named_raw(signal));
            }
        });
        let late = &late;
        scope.spawn(move || {
            if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                late.store(true, Ordering::SeqCst);
                pass_on(group, Some(Signal::KILL));
            }
        });
        let status = child.wait();
        drop(ended);
        // From here on a signal ends this process, as before the command. What came before is still received.
        drop(passed_on);
        status
    })
    .map(|status| (!late.load(Ordering::SeqCst)).then(|| (status, interrupted.load(Ordering::SeqCst))))
}

/// A group that is gone needs no signal.
fn pass_on(group: Option<Pid>, signal: Option<Signal>) {
    if let (Some(group), Some(signal)) = (group, signal) {
        let _ = kill_process_group(group, signal);
    }
}

/// A stream that is passed on as it comes, and kept.
struct Tee {
    kept: Arc<Mutex<Stream>>,
    closed: Receiver<()>,
}

impl Tee {
    fn start(from: impl Read + Send + 'static, to: impl Write + Send + 'static, keep: fn(&mut Stream, &[u8])) -> Self {
        let kept = Arc::new(Mutex::new(Stream::default()));
        let (closing, closed) = mpsc::channel();
        let copy = Arc::clone(&kept);
        thread::spawn(move || pass_through(from, to, &copy, keep, closing));
        Self { kept, closed }
    }

    fn finish(self) -> Stream {
        let _ = self.closed.recv_timeout(LINGER);
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn pass_through(
    mut from: impl Read,
    mut to: impl Write,
    kept: &Mutex<Stream>,
    keep: fn(&mut Stream, &[u8]),
    closing: Sender<()>,
) {
    let mut block = vec![0; 64 << 10];
    loop {
        match from.read(&mut block) {
            Ok(0) => break,
            Ok(count) => {
                // Whoever closed the other end does not want to see it, but the link does.
                let _ = to.write_all(&block[..count]).and_then(|()| to.flush());
                keep(
                    &mut kept.lock().unwrap_or_else(PoisonError::into_inner),
                    &block[..count],
                );
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    drop(closing);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, options: Options<'_>) -> Result<Outcome, CommandError> {
        run(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], options)
    }

    const KEPT: Options<'static> = Options {
        streams: Streams::Kept,
        timeout: None,
        folder: None,
    };

    #[test]
    fn codes() {
        for (script, code, as_in_toto) in [("exit 0", 0, 0), ("exit 3", 3, 3), ("kill -9 $$", 137, -9)] {
            let outcome = shell(script, Options::default()).unwrap();
            assert_eq!(
                (outcome.code(), outcome.code_as_in_toto()),
                (code, as_in_toto),
                "{script}"
            );
        }
        assert!(matches!(run(&[], KEPT), Err(CommandError::Empty)));
        let missing = run(&["no-such-command".to_owned()], KEPT).unwrap_err();
        assert!(
            missing.to_string().starts_with("cannot run `no-such-command`: "),
            "{missing}"
        );
    }

    #[test]
    fn both_streams_are_kept() {
        let outcome = shell("echo out; echo err >&2; printf '\\377'", KEPT).unwrap();
        assert_eq!(
            (outcome.stdout.text(), outcome.stderr.text()),
            ("out\n\u{fffd}".to_owned(), "err\n".to_owned())
        );
    }

    #[test]
    fn streams_are_kept_up_to_a_bound() {
        let mut stream = Stream::default();
        stream.keep(&vec![0; STREAM_BYTES]);
        assert!(!stream.truncated);
        stream.keep(&[1]);
        assert!(stream.truncated);
        assert_eq!(stream.bytes.len(), STREAM_BYTES);
    }

    #[test]
    fn the_end_of_both_streams_in_their_order() {
        let tail = Options {
            streams: Streams::Tail,
            ..Options::default()
        };
        let outcome = shell("cat; echo out; echo err >&2; echo out", tail).unwrap();
        assert_eq!(outcome.tail.text(), "out\nerr\nout\n");
        assert_eq!(outcome.stdout, Stream::default());
        let outcome = shell("seq 100000; exit 3", tail).unwrap();
        assert!(outcome.tail.truncated && outcome.tail.text().ends_with("\n99999\n100000\n"));
        assert_eq!(outcome.tail.bytes.len(), TAIL_BYTES);
    }

    #[test]
    fn what_stays_behind_does_not_hold_it_up() {
        let start = Instant::now();
        let outcome = shell("sleep 20 & echo done", KEPT).unwrap();
        assert_eq!(outcome.stdout.text(), "done\n");
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn a_timeout_kills_the_whole_group() {
        let options = Options {
            streams: Streams::Passed,
            timeout: Some(Duration::from_millis(300)),
            folder: None,
        };
        // Whatever else this machine does may hold up one of them, but not each.
        let is_in_time = (0..5).any(|_| {
            let folder = tempfile::tempdir().unwrap();
            let mark = folder.path().join("mark");
            let script = format!("(sleep 2; touch {}) & sleep 30", mark.display());
            let start = Instant::now();
            assert!(matches!(shell(&script, options), Err(CommandError::Timeout { .. })));
            if start.elapsed() >= Duration::from_secs(2) {
                return false;
            }
            thread::sleep(Duration::from_secs(3));
            assert!(!mark.exists());
            true
        });
        assert!(is_in_time);
    }

    #[test]
    fn in_time() {
        let options = Options {
            streams: Streams::Kept,
            timeout: Some(Duration::from_mins(1)),
            folder: None,
        };
        assert_eq!(shell("echo a; exit 4", options).unwrap().code(), 4);
    }
}
