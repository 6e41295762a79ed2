//! Credential helpers, as docker has them: programs that are told a server's name and print what it knows the reader by.

use std::io::{self, Read, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::credentials::Secret;
use crate::secret;

/// Bytes that a helper may print. The longest tokens have some kilobytes.
const MOST: u64 = 1 << 20;
/// How often it is looked whether a helper that has said all has ended.
const TICK: Duration = Duration::from_millis(10);

/// What a helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    username: String,
    secret: String,
}

/// Asks the helper of that short name; nothing where it has nothing for the server. One that takes longer, or says more than
/// it may, is ended. What it prints is repeated nowhere: it may be what it should keep.
pub(super) fn ask(name: &str, server: &str, patience: Duration) -> Result<Option<Secret>, String> {
    let helper = format!("docker-credential-{name}");
    let mut child =
        start(&helper).map_err(|error| format!("the credential helper `{helper}` cannot be run: {error}"))?;
    let said = hear(&mut child, server, patience);
    // After a kill that came too late there is nothing to do.
    let _ = child.kill();
    let status = child.wait().map_err(|error| format!("`{helper}`: {error}"))?;
    let said = said.map_err(|why| format!("`{helper}` {why}"))?;
    if !status.success() {
        // As docker has it, this is how helpers say that they have nothing.
        let is_absence = String::from_utf8_lossy(&said).contains("credentials not found");
        if is_absence {
            return Ok(None);
        }
        return Err(format!("`{helper}` failed; `echo {server} | {helper} get` says why"));
    }
    let Said { username, secret } = serde_json::from_slice(&said)
        .map_err(|_| format!("`{helper}` printed something else than a `Username` and a `Secret` in JSON"))?;
    Ok(Some(match username.as_str() {
        "<token>" => Secret::Identity(secret),
        _ => Secret::Password(username, secret),
    }))
}

fn start(helper: &str) -> io::Result<Child> {
    secret::child(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// All that a helper prints before it ends.
fn hear(child: &mut Child, server: &str, patience: Duration) -> Result<Vec<u8>, String> {
    let until = Instant::now() + patience;
    let slow = || format!("gave nothing in time, which is {} s", patience.as_secs());
    let (Some(ask), Some(answer)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("has no pipes".to_owned());
    };
    let (send, heard) = mpsc::channel();
    let server = server.to_owned();
    // A process that the helper started may keep the pipe open after the helper was ended: nobody waits for that.
    thread::spawn(move || send.send(converse(ask, answer, &server)));
    let said = heard.recv_timeout(patience).map_err(|_| slow())?;
    let said = said.map_err(|error| format!("cannot be heard: {error}"))?;
    if said.len() as u64 > MOST {
        return Err(format!("printed more than {MOST} bytes"));
    }
    while child.try_wait().is_ok_and(|ended| ended.is_none()) {
        if Instant::now() > until {
            return Err(slow());
        }
        thread::sleep(TICK);
    }
    Ok(said)
}

fn converse(mut ask: ChildStdin, answer: ChildStdout, server: &str) -> io::Result<Vec<u8>> {
    // One that does not listen may answer all the same.
    let _ = ask.write_all(server.as_bytes());
    drop(ask);
    let mut said = Vec::new();
    answer.take(MOST + 1).read_to_end(&mut said)?;
    Ok(said)
}
