//! `linkgate demo`

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::cli::UsageError;
use crate::key;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  linkgate demo
      The whole story in the new folder linkgate-demo.
  linkgate demo /tmp/story
      The same elsewhere. Everything stays there to look at, and each command that is shown can be repeated.";

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

/// Tells the whole story on real files.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let story = Story::begin(&args.folder)?;
    story.make_keys()?;
    story.make_layout()?;
    story.say("Alice reviews the source, Bob and Carol build it independently, Dave tests what they built.")?;
    story.work("alice", "code-review", "-p src", None)?;
    story.build()?;
    story.work("dave", "test", "-m greet.tar,test.sh -p greet.tar", Some("sh test.sh"))?;
    story.say("The owner's layout is all that a verifier must trust.")?;
    story.verify(0)?;
    story.say("Now a byte of the source changes after the review, and everybody does their work on it again.")?;
    story.write("src/greet.sh", &GREET.replace("hello", "hallo"))?;
    story.write("test.sh", &TEST.replace("hello", "hallo"))?;
    story.show("sed -i s/hello/hallo/ src/greet.sh test.sh")?;
    story.build()?;
    story.work("dave", "test", "-m greet.tar,test.sh -p greet.tar", Some("sh test.sh"))?;
    story.verify(1)?;
    story.say(&format!(
        "Accepted as it should be, rejected as it should be. Everything is in {}.",
        story.folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The folder in which it happens, and the program that it happens with.
struct Story {
    folder: PathBuf,
    program: PathBuf,
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
            program: std::env::current_exe().context("cannot find this program's own file")?,
        };
        story.show(&format!("mkdir -p {0} && cd {0}", folder.display()))?;
        story.shell("mkdir src links")?;
        for (name, text) in [("src/greet.sh", GREET), ("test.sh", TEST)] {
            story.shell(&format!("cat > {name} <<'END'\n{text}END"))?;
        }
        Ok(story)
    }

    fn make_keys(&self) -> anyhow::Result<()> {
        self.say("An owner and four functionaries get keys.")?;
        for name in ["owner", "alice", "bob", "carol", "dave"] {
            self.linkgate(&format!("keygen -t ed25519 -n {name}"), 0)?;
        }
        Ok(())
    }

    fn make_layout(&self) -> anyhow::Result<()> {
        self.say("The owner writes down what must happen and who may do it, and signs that.")?;
        let layout = self.layout()?;
        self.write("layout.json", &(serde_json::to_string_pretty(&layout)? + "\n"))?;
        self.show(
            "cat layout.json   # shortened; `keys` is: linkgate key show --json alice.pub bob.pub carol.pub dave.pub",
        )?;
        let mut shortened = layout;
        if let Some(members) = shortened.as_object_mut() {
            members.remove("keys");
        }
        terminal::print(format_args!("{}", serde_json::to_string_pretty(&shortened)?))?;
        self.linkgate("sign -f layout.json -k owner -o root.layout", 0)
    }

    fn layout(&self) -> anyhow::Result<Value> {
        let mut keys = serde_json::Map::new();
        let mut keyid = |name: &str| -> anyhow::Result<String> {
            let read = key::read_public(&self.folder.join(format!("{name}.pub")))?;
            let key = &read.first().context("a key file holds a key")?.key;
            let keyid = key.keyid();
            let form = json!({
                "keyid": keyid,
                "keytype": key.keytype(),
                "scheme": key.scheme().name(),
                "keyval": { "public": key.public_text() },
            });
            keys.insert(keyid.clone(), form);
            Ok(keyid)
        };
        let (alice, bob, carol, dave) = (keyid("alice")?, keyid("bob")?, keyid("carol")?, keyid("dave")?);
        Ok(json!({
            "_type": "layout",
            "readme": "greet: reviewed, built twice, tested",
            "expires": "2036-01-01T00:00:00Z",
            "keys": keys,
            "steps": [
                {
                    "_type": "step",
                    "name": "code-review",
                    "pubkeys": [alice],
                    "threshold": 1,
                    "expected_command": [],
                    "expected_materials": [["DISALLOW", "*"]],
                    "expected_products": [["CREATE", "src/*"], ["DISALLOW", "*"]],
                },
                {
                    "_type": "step",
                    "name": "build",
                    "pubkeys": [bob, carol],
                    "threshold": 2,
                    "expected_command": TAR.split(' ').collect::<Vec<_>>(),
                    "expected_materials": [
                        ["MATCH", "src/*", "WITH", "PRODUCTS", "FROM", "code-review"],
                        ["DISALLOW", "*"],
                    ],
                    "expected_products": [["CREATE", "greet.tar"], ["DISALLOW", "*"]],
                },
                {
                    "_type": "step",
                    "name": "test",
                    "pubkeys": [dave],
                    "threshold": 1,
                    "expected_command": ["sh", "test.sh"],
                    "expected_materials": [
                        ["MATCH", "greet.tar", "WITH", "PRODUCTS", "FROM", "build"],
                        ["ALLOW", "test.sh"],
                        ["DISALLOW", "*"],
                    ],
                    "expected_products": [
                        ["MATCH", "greet.tar", "WITH", "PRODUCTS", "FROM", "build"],
                        ["DISALLOW", "*"],
                    ],
                },
            ],
            "inspect": [],
        }))
    }

    /// Both builders build, each from nothing.
    fn build(&self) -> anyhow::Result<()> {
        for builder in ["bob", "carol"] {
            self.shell("rm -f greet.tar")?;
            self.work(builder, "build", "-m src -p greet.tar", Some(TAR))?;
        }
        Ok(())
    }

    fn work(&self, who: &str, step: &str, artifacts: &str, command: Option<&str>) -> anyhow::Result<()> {
        let command = command.map_or_else(|| "-x".to_owned(), |command| format!("-- {command}"));
        self.linkgate(&format!("run -n {step} -k {who} -d links {artifacts} {command}"), 0)
    }

    fn verify(&self, wanted: i32) -> anyhow::Result<()> {
        self.linkgate(
            "verify --layout root.layout --links-dir links --key owner.pub --functionary-key alice.pub bob.pub carol.pub dave.pub",
            wanted,
        )
    }

    /// Runs this program, as its user would, and asks for an exit code.
    fn linkgate(&self, arguments: &str, wanted: i32) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command.args(arguments.split(' '));
        self.child(&format!("linkgate {arguments}"), command, wanted)
    }

    fn shell(&self, line: &str) -> anyhow::Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        self.child(line, command, 0)
    }

    fn child(&self, shown: &str, mut command: Command, wanted: i32) -> anyhow::Result<()> {
        self.show(shown)?;
        let status = command
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("cannot run `{shown}`"))?;
        if status.code() == Some(wanted) {
            return Ok(());
        }
        bail!("`{shown}` ended with {status}, not with exit code {wanted}: the demo did not come out as it should")
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Prints a command as it could be typed.
    #[expect(clippy::unused_self, reason = "what is shown belongs to the story")]
    fn show(&self, command: &str) -> io::Result<()> {
        const PROMPT: anstyle::Style = anstyle::Style::new().bold();
        terminal::print(format_args!("{PROMPT}$ {command}{PROMPT:#}"))
    }

    #[expect(clippy::unused_self, reason = "what is said belongs to the story")]
    fn say(&self, sentence: &str) -> io::Result<()> {
        terminal::print(format_args!("\n{sentence}\n"))
    }
}
