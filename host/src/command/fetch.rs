//! `linkgate fetch`

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use linkgate_image::{Image, ManifestDigest};
use linkgate_verifier::envelope::Envelope;
use linkgate_verifier::limits;
use linkgate_verifier::payload::{self, Kind};
use linkgate_verifier::request::{Content, Document};

use super::registries;
use crate::evidence::registry::{self, Registry, RegistryEvidence};
use crate::evidence::{self, About, Piece, Source as _, SourceError};
use crate::file::{self, Mode, WriteError};
use crate::memory::Memory;
use crate::terminal::{self, Progress};

const EXAMPLES: &str = "\
Examples:
  linkgate fetch registry.example/app:1.2 links/
      Writes what is attached to the image into a folder, which is made if it is missing, and prints each file's path.
  linkgate fetch registry.example/app@sha256:9f86d0... links/ --force
      Replaces files of the same name that are there and differ.
  linkgate verify -l root.layout -k owner.pub --links-dir links/
      Verifies it afterwards: before that, nothing that was fetched is believed.

It is sought among the image's referrers, and under the tags `sha256-<digest>` and `sha256-<digest>.att`.

Of several links of one name all but one get their digest into it: a link's name is no evidence. A sublayout is bound to its
step by its name and keeps it; two that differ and have one name fit into no folder, and nothing is written.

Exit codes: 0 done, 1 nothing is attached, 2 anything else.";

/// Blobs that are asked for at one time.
const AT_ONCE: usize = 8;

/// Arguments of `linkgate fetch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image, by its digest or a tag.
    #[arg(value_name = "IMAGE")]
    image: Image,

    /// The folder that it goes into.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Look into this repository instead of the image's.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<Image>,

    /// Replace files that differ.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    registries: registry::Options,
}

/// Fetches what is attached to an image.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    file::check_makeable(&args.folder)?;
    let registry = Arc::new(Registry::new(&args.registries, Memory::unbounded())?);
    let documents = files(registries::block_on(documents(args, &registry))??)?;
    if documents.is_empty() {
        terminal::note(format_args!("no evidence is attached to {}", args.image));
        return Ok(ExitCode::FAILURE);
    }
    let mut targets = Vec::with_capacity(documents.len());
    for document in &documents {
        targets.push(target(&args.folder, document, args.force)?);
    }
    for (document, path) in documents.iter().zip(&targets) {
        if let Some(path) = path {
            file::make_folder(path.parent().unwrap_or(&args.folder))?;
            file::replace(path, &document.content.0, Mode::Public)?;
        }
        terminal::print(args.folder.join(&document.name).display())?;
    }
    still_there(&args.folder, &documents)?;
    let written = targets.iter().flatten().count();
    let before = match documents.len() - written {
        0 => String::new(),
        before => format!("; {before} were there already"),
    };
    terminal::note(format_args!(
        "wrote {written} files into {}{before}",
        args.folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// What is attached to the image, as the documents of a request.
async fn documents(args: &Args, registry: &Arc<Registry>) -> anyhow::Result<Vec<Document>> {
    let about = about(args, registry).await?;
    let source = RegistryEvidence::new(Arc::clone(registry), args.repository.clone());
    let listed = source.list(&about).await?;
    if listed.pieces.is_empty() && args.repository.is_none() && registry.manifest(&args.image).await?.is_none() {
        bail!("there is no image `{}`", args.image);
    }
    let total = listed.size();
    if total > limits::TOTAL_BYTES as u64 {
        bail!(
            "what is attached has {total} bytes, more than the verifier takes: {}",
            limits::TOTAL_BYTES
        );
    }
    let progress = Progress::start("fetching", || total);
    let fetched: Vec<(Arc<Piece>, Bytes)> = stream::iter(listed.pieces)
        .map(|piece| async {
            let bytes = source.fetch(&piece).await?;
            progress.add(piece.size);
            Ok::<_, SourceError>((piece, bytes))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let documents = evidence::documents(fetched).into_iter();
    Ok(documents
        .map(|document| Document {
            name: document.name,
            content: Content(document.content.into()),
        })
        .collect())
}

/// The documents as files of a folder, which has each name once. Only a sublayout's name says something, so that it keeps
/// it, and all else makes room: none must lose its say because of what another one is called.
fn files(mut documents: Vec<Document>) -> anyhow::Result<Vec<Document>> {
    let mut taken = BTreeSet::new();
    for document in documents.iter().filter(|document| is_layout(document)) {
        if !taken.insert(document.name.clone()) {
            bail!(
                "two sublayouts that differ are attached as `{}`, and a folder has a name once: remove the one that is \
                 out of date from the registry, or let the gate judge the image, which takes both; nothing was written",
                terminal::harmless(&document.name)
            );
        }
    }
    let all: BTreeSet<String> = documents.iter().map(|document| document.name.clone()).collect();
    for document in &mut documents {
        if !is_layout(document) && !taken.insert(document.name.clone()) {
            let digest = ManifestDigest::of(&document.content.0);
            while all.contains(&document.name) || taken.contains(&document.name) {
                let stem = document.name.strip_suffix(".link").unwrap_or(&document.name);
                document.name = format!("{stem}.{}.link", digest.hex());
            }
            taken.insert(document.name.clone());
        }
    }
    Ok(documents)
}

/// Whether a document is a sublayout, if it is anything at all.
fn is_layout(document: &Document) -> bool {
    let envelope = Envelope::parse(&document.content.0);
    envelope.is_ok_and(|envelope| payload::kind(&envelope) == Ok(Kind::Layout))
}

/// Makes sure that no file was written over another: there are file systems to which different names are one.
fn still_there(folder: &Path, documents: &[Document]) -> anyhow::Result<()> {
    for document in documents {
        let path = folder.join(&document.name);
        let there = fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if there != document.content.0 {
            bail!(
                "`{}` was overwritten by another file whose name is the same to this file system: fetch into a folder on \
                 one that tells upper from lower case",
                path.display()
            );
        }
    }
    Ok(())
}

/// What evidence is sought about: a tag means what it means now.
async fn about(args: &Args, registry: &Registry) -> anyhow::Result<About> {
    let Some(digest) = known_digest(&args.image, registry).await? else {
        bail!("there is no image `{}`", args.image);
    };
    if args.image.digest().is_none() {
        terminal::note(format_args!("{} is {} now", args.image, args.image.at(digest.clone())));
    }
    Ok(About {
        image: Some(args.image.at(digest.clone())),
        name: Some(args.image.name()),
        digest,
        namespace: String::new(),
    })
}

/// An image's digest, by which it is named or which its tag has.
async fn known_digest(image: &Image, registry: &Registry) -> Result<Option<ManifestDigest>, SourceError> {
    match image.digest() {
        Some(digest) => Ok(Some(digest.clone())),
        None => registry.resolve(image).await,
    }
}

/// Where a document goes; nowhere if it is there already.
fn target(folder: &Path, document: &Document, force: bool) -> anyhow::Result<Option<PathBuf>> {
    let name = Path::new(&document.name);
    if !name.components().all(|part| matches!(part, Component::Normal(_))) {
        bail!("`{}` is no name of a file in a folder", document.name);
    }
    let path = folder.join(name);
    let between = name.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty());
    if let Some(link) = between.map(|part| folder.join(part)).find(|part| part.is_symlink()) {
        bail!(
            "`{}` is a symbolic link, which may lead out of the folder; nothing was written",
            link.display()
        );
    }
    match fs::read(&path) {
        Ok(there) if there == document.content.0 => Ok(None),
        Ok(_) if !force => Err(WriteError::Exists(path)).context("nothing was written; --force replaces what differs"),
        Err(error) if ![io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Err(error).with_context(|| format!("cannot read `{}`", path.display()))
        }
        Ok(_) | Err(_) => Ok(Some(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, content: &str) -> Document {
        Document {
            name: name.to_owned(),
            content: Content(content.into()),
        }
    }

    fn sublayout(readme: &str) -> String {
        format!(r#"{{"signed": {{"_type": "layout", "readme": "{readme}"}}, "signatures": []}}"#)
    }

    #[test]
    fn a_sublayout_keeps_its_name_and_nothing_is_lost() {
        let link = r#"{"signed": {"_type": "link"}, "signatures": []}"#;
        let hex = |content: &str| ManifestDigest::of(content.as_bytes()).hex().to_owned();
        for junk in ["{", link, "\u{0}"] {
            let second = format!("a.{}.link", hex(junk));
            let third = format!("a.{}.{0}.link", hex(junk));
            // Whoever may attach something knows under which name the second of two is kept, and takes it.
            for taker in [sublayout("taker"), "taker".to_owned()] {
                let given = [
                    named("a.link", junk),
                    named("a.link", &sublayout("one")),
                    named(&second, &taker),
                ];
                for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
                    let files = files(order.map(|at| given[at].clone()).into()).unwrap();
                    let name_of = |content: &str| {
                        let found = files.iter().find(|file| file.content.0 == content.as_bytes());
                        found.map(|file| file.name.clone())
                    };
                    assert_eq!(name_of(&sublayout("one")).as_deref(), Some("a.link"));
                    assert_eq!(name_of(&taker), Some(second.clone()));
                    assert_eq!(name_of(junk), Some(third.clone()));
                }
            }
        }
    }

    #[test]
    fn two_sublayouts_of_one_name_are_not_written() {
        let given = vec![named("a.link", &sublayout("one")), named("a.link", &sublayout("two"))];
        let error = files(given).unwrap_err().to_string();
        assert!(
            error.contains("two sublayouts that differ are attached as `a.link`"),
            "{error}"
        );
    }

    #[test]
    fn what_was_overwritten_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.link"), "2").unwrap();
        assert!(still_there(folder.path(), &[named("a.link", "2")]).is_ok());
        let error = still_there(folder.path(), &[named("a.link", "1")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("was overwritten"), "{error}");
    }

    #[test]
    fn never_outside_and_never_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, force| {
            let content = Content(b"new".to_vec());
            target(
                folder.path(),
                &Document {
                    name: name.to_owned(),
                    content,
                },
                force,
            )
            .map_err(|error| error.to_string())
        };
        assert_eq!(at("a/b.link", false), Ok(Some(folder.path().join("a/b.link"))));
        for wrong in ["../x", "/etc/x", "a/../../x"] {
            assert!(at(wrong, true).unwrap_err().contains("no name of a file"), "{wrong}");
        }
        std::os::unix::fs::symlink("/tmp", folder.path().join("out")).unwrap();
        assert!(at("out/x", true).unwrap_err().contains("a symbolic link"));
        fs::write(folder.path().join("same"), "new").unwrap();
        fs::write(folder.path().join("other"), "old").unwrap();
        assert_eq!(at("same", false), Ok(None));
        assert!(at("other", false).is_err());
        assert_eq!(at("other", true), Ok(Some(folder.path().join("other"))));
    }
}
