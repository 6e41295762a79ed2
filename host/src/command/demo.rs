//! `linkgate demo`

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use super::quoted;
use crate::cli::UsageError;
use crate::{secret, terminal};

const EXAMPLES: &str = "\
Examples:
  linkgate demo
      The whole story in the new folder linkgate-demo.
  linkgate demo /tmp/story
      The same elsewhere. Everything stays there to look at. The commands that are shown can be repeated in a new
      folder, in one shell.";

/// Arguments of `linkgate demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The folder to make. It must not hold anything yet.
    #[arg(value_name = "DIR", default_value = "linkgate-demo")]
    folder: PathBuf,
}

/// The source that is reviewed, built and tested.
const GREET: &str = "#!/bin/sh\necho \"hello, $1\"\n";
/// What the tester runs on what was built.
const TEST: &str = "#!/bin/sh\nset -e\nrm -rf unpacked\nmkdir unpacked\ntar xf greet.tar -C unpacked\ntest \"$(sh unpacked/src/greet.sh world)\" = \"hello, world\"\necho 'test passed'\nrm -r unpacked\n";
/// Bytes that depend on the files alone, so that two builders get the same archive.
const TAR: &str = "tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf greet.tar src";
/// What must happen and who may do it, as a shell fills it in: the keys, and the keyids that `keygen` printed.
const LAYOUT: &str = r#"{
  "_type": "layout",
  "readme": "greet: reviewed, built twice, tested",
  "expires": "2036-01-01T00:00:00Z",
  "keys": $(linkgate key show --json alice.pub bob.pub carol.pub dave.pub),
  "steps": [
    {
      "_type": "step",
      "name": "code-review",
      "pubkeys": ["$alice"],
      "threshold": 1,
      "expected_command": [],
      "expected_materials": [["DISALLOW", "*"]],
      "expected_products": [["CREATE", "src/*"], ["DISALLOW", "*"]]
    },
    {
      "_type": "step",
      "name": "build",
      "pubkeys": ["$bob", "$carol"],
      "threshold": 2,
      "expected_command": [
        "tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "-cf", "greet.tar", "src"
      ],
      "expected_materials": [["MATCH", "src/*", "WITH", "PRODUCTS", "FROM", "code-review"], ["DISALLOW", "*"]],
      "expected_products": [["CREATE", "greet.tar"], ["DISALLOW", "*"]]
    },
    {
      "_type": "step",
      "name": "test",
      "pubkeys": ["$dave"],
      "threshold": 1,
      "expected_command": ["sh", "test.sh"],
      "expected_materials": [
        ["MATCH", "greet.tar", "WITH", "PRODUCTS", "FROM", "build"],
        ["ALLOW", "test.sh"],
        ["DISALLOW", "*"]
      ],
      "expected_products": [["MATCH", "greet.tar", "WITH", "PRODUCTS", "FROM", "build"], ["DISALLOW", "*"]]
    }
  ],
  "inspect": []
}
"#;

/// Tells the whole story on real files.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut story = Story::begin(&args.folder)?;
    story.make_keys()?;
    story.say("The owner writes down what must happen and who may do it, and signs that.")?;
    story.shell(&format!("cat > layout.json <<END\n{LAYOUT}END"), 0)?;
    story.shell("linkgate sign -f layout.json -k owner -o root.layout", 0)?;
    story.say("Alice reviews the source, Bob and Carol build it independently, Dave tests what they built.")?;
    story.work("alice", "code-review", "-p src", None)?;
    story.build_and_test()?;
    story.say("The owner's layout is all that a verifier must trust.")?;
    story.verify(0)?;
    story.say("Now a byte of the source changes after the review, and everybody does their work on it again.")?;
    story.shell("sed -i s/hello/hallo/ src/greet.sh test.sh", 0)?;
    story.build_and_test()?;
    story.verify(1)?;
    story.say(&format!(
        "Accepted as it should be, rejected as it should be. Everything is in {}.",
        story.folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The folder in which it happens, and the shell that it happens in: each command runs in a process of its own, so what one
/// leaves behind for the next is kept here.
struct Story {
    folder: PathBuf,
    /// What `linkgate` means where the shell would not find this program by that name.
    meaning: Option<String>,
    keyids: BTreeMap<&'static str, String>,
}

impl Story {
    fn begin(folder: &Path) -> anyhow::Result<Self> {
        let occupied = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            return Err(UsageError(format!(
                "`{}` is not empty: remove it, or name another folder, `linkgate demo DIR`",
                folder.display()
            ))
            .into());
        }
        fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        let story = Self {
            folder: folder.to_owned(),
            meaning: meaning()?,
            keyids: BTreeMap::new(),
        };
        if let Some(meaning) = &story.meaning {
            story.show(meaning)?;
        }
        let folder = quoted([folder.display().to_string()]);
        story.show(&format!("mkdir -p {folder} && cd {folder}"))?;
        story.shell("mkdir src links", 0)?;
        for (name, text) in [("src/greet.sh", GREET), ("test.sh", TEST)] {
            story.shell(&format!("cat > {name} <<'END'\n{text}END"), 0)?;
        }
        Ok(story)
    }

    fn make_keys(&mut self) -> anyhow::Result<()> {
        self.say("An owner and four functionaries get keys. What `keygen` prints is the keyid.")?;
        for name in ["owner", "alice", "bob", "carol", "dave"] {
            let line = format!("{name}=$(linkgate keygen -t ed25519 -n {name})");
            // The variable ends with the process that sets it; its value is kept.
            let printed = self.output(&line, &format!("{line} && echo ${name}"))?;
            self.keyids.insert(name, printed);
        }
        Ok(())
    }

    /// Both builders build, each from nothing, and what they built is tested.
    fn build_and_test(&self) -> anyhow::Result<()> {
        for builder in ["bob", "carol"] {
            self.shell("rm -f greet.tar", 0)?;
            self.work(builder, "build", "-m src -p greet.tar", Some(TAR))?;
        }
        self.work("dave", "test", "-m greet.tar,test.sh -p greet.tar", Some("sh test.sh"))
    }

    fn work(&self, who: &str, step: &str, artifacts: &str, command: Option<&str>) -> anyhow::Result<()> {
        let command = command.map_or_else(|| "-x".to_owned(), |command| format!("-- {command}"));
        self.shell(
            &format!("linkgate run -n {step} -k {who} -d links {artifacts} {command}"),
            0,
        )
    }

    fn verify(&self, wanted: i32) -> anyhow::Result<()> {
        self.shell(
            "linkgate verify --layout root.layout --links-dir links --key owner.pub --functionary-key alice.pub bob.pub carol.pub dave.pub",
            wanted,
        )
    }

    /// Shows a command, runs it, and asks for an exit code.
    fn shell(&self, line: &str, wanted: i32) -> anyhow::Result<()> {
        self.show(line)?;
        let status = self
            .command(line)
            .status()
            .with_context(|| format!("cannot run `{line}`"))?;
        ended(line, status, wanted)
    }

    /// Shows a command, runs `line` in its place, and gives what that prints.
    fn output(&self, shown: &str, line: &str) -> anyhow::Result<String> {
        self.show(shown)?;
        let mut command = self.command(line);
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot run `{shown}`"))?;
        ended(shown, output.status, 0)?;
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = secret::child("sh");
        let meaning = self.meaning.iter().map(String::as_str);
        let lines: Vec<&str> = meaning.chain([line]).collect();
        command
            .args(["-c", &lines.join("\n")])
            .envs(&self.keyids)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    /// Prints a command as it could be typed.
    #[expect(clippy::unused_self, reason = "what is shown belongs to the story")]
    fn show(&self, command: &str) -> io::Result<()> {
        const PROMPT: anstyle::Style = anstyle::Style::new().bold();
        terminal::print_styled(PROMPT, format!("$ {command}").lines())
    }

    #[expect(clippy::unused_self, reason = "what is said belongs to the story")]
    fn say(&self, sentence: &str) -> io::Result<()> {
        terminal::print_all(["", sentence, ""])
    }
}

/// The definition of `linkgate` as this program, unless a shell finds it by that name. A function, for shells know
/// aliases only where somebody types.
fn meaning() -> anyhow::Result<Option<String>> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join("linkgate"))
        .find(|found| found.is_file());
    let is_found = found.is_some_and(|found| fs::canonicalize(found).ok() == fs::canonicalize(&program).ok());
    let program = quoted([program.display().to_string()]);
    Ok((!is_found).then(|| format!("linkgate() {{ {program} \"$@\"; }}")))
}

fn ended(line: &str, status: std::process::ExitStatus, wanted: i32) -> anyhow::Result<()> {
    if status.code() == Some(wanted) {
        return Ok(());
    }
    bail!("`{line}` ended with {status}, not with exit code {wanted}: the demo did not come out as it should")
}
