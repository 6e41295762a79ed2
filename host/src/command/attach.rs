//! `linkgate attach`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use linkgate_image::evidence::{self, DSSE, IN_TOTO};
use linkgate_image::{Image, ManifestDigest};
use linkgate_verifier::envelope::Form;
use linkgate_verifier::limits;

use super::registries;
use crate::evidence::folder;
use crate::evidence::manifest::Manifest;
use crate::evidence::registry::{self, Attached, Attachment, Link, Registry};
use crate::memory::Memory;
use crate::metadata::{Document, Kind};
use crate::terminal::{self, Progress};

const EXAMPLES: &str = "\
Examples:
  linkgate attach registry.example/app:1.2 links/
      Attaches the links in a folder, those of sublayouts too, to the image that the tag means now.
  linkgate attach registry.example/app@sha256:9f86d0... build.776a00e2.link test.0a1b2c3d.link
  linkgate attach --dry-run registry.example/app:1.2 links/
      Says what would be pushed.
  linkgate attach --plain-http localhost:5000 localhost:5000/app links/

The digest of what was pushed is printed. The same links make the same digest: attaching them again changes nothing.
`linkgate fetch` brings them back. Whether they are right is what `linkgate verify` says.";

/// Arguments of `linkgate attach`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image, by its digest or a tag.
    #[arg(value_name = "IMAGE")]
    image: Image,

    /// Signed links and layouts, or folders of `*.link` files.
    #[arg(value_name = "LINK", required = true)]
    links: Vec<PathBuf>,

    /// Push into this repository instead of the image's.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<Image>,

    /// Say what would be pushed, and push nothing.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    registries: registry::Options,
}

/// Attaches links to an image.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let links = read(&args.links)?;
    let registry = Registry::new(&args.registries, Memory::unbounded())?;
    registries::block_on(attach(args, &registry, links))?
}

async fn attach(args: &Args, registry: &Registry, links: Vec<Link>) -> anyhow::Result<ExitCode> {
    let image = subject(registry, &args.image).await?;
    let attachment = Attachment::new(&image, links);
    for link in attachment.links() {
        let step = link.step.as_deref().map(|step| format!(" of step `{step}`"));
        let size = link.bytes.len();
        let step = step.unwrap_or_default();
        terminal::note(format_args!("`{}`{step} ({size} bytes)", link.name));
    }
    let repository = args
        .repository
        .as_ref()
        .unwrap_or(&args.image)
        .at(attachment.digest.clone());
    let became = if args.dry_run {
        "would be pushed; nothing was"
    } else {
        let total = || attachment.links().iter().map(|link| link.bytes.len() as u64).sum();
        let progress = Progress::start("attaching", total);
        match registry
            .attach(&repository, &attachment, |bytes| progress.add(bytes))
            .await?
        {
            Attached::Before => "was attached already",
            Attached::Listed => "attached",
            Attached::Tagged => {
                "attached, and listed under the tag of the image's digest: the registry lists no referrers"
            }
        }
    };
    terminal::note(became);
    terminal::print(repository)?;
    Ok(ExitCode::SUCCESS)
}

/// The manifest of the image that the links are attached to.
async fn subject(registry: &Registry, image: &Image) -> anyhow::Result<Manifest> {
    let Some(manifest) = registry.manifest(image).await? else {
        bail!("there is no image `{image}`");
    };
    if image.digest().is_none() {
        terminal::note(format_args!("{image} is {} now", image.at(manifest.digest.clone())));
    }
    Ok(manifest)
}

/// Reads the links of files and folders.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Link>> {
    let mut links = Vec::new();
    for path in paths {
        if path.is_dir() {
            let evidence = folder::read(path, limits::TOTAL_BYTES)?;
            if evidence.documents.is_empty() {
                bail!("`{}` holds no `*.link` files", path.display());
            }
            for document in evidence.documents {
                let shown = path.join(&document.name);
                links.push(link(&shown, document.name, document.content.0)?);
            }
        } else {
            let bytes = folder::read_file(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                bail!("`{}` has a name that is not UTF-8: rename it", path.display());
            };
            links.push(link(path, name.to_owned(), bytes)?);
        }
    }
    let total: usize = links.iter().map(|link| link.bytes.len()).sum();
    if links.len() > limits::DOCUMENTS || total > limits::TOTAL_BYTES {
        bail!(
            "{} links of {total} bytes are more than the verifier takes: {} of {} bytes",
            links.len(),
            limits::DOCUMENTS,
            limits::TOTAL_BYTES
        );
    }
    Ok(links)
}

/// A file as a link or layout whose envelope is sound. Who signed it is not asked.
fn link(path: &Path, name: String, bytes: Vec<u8>) -> anyhow::Result<Link> {
    let shown = path.display();
    if !evidence::is_safe(&name) {
        bail!("`{shown}` is not called as links are, `<step>.<keyid>.link`: rename it");
    }
    if bytes.len() > limits::DOCUMENT_BYTES {
        bail!(
            "`{shown}` is larger than the verifier takes: {} bytes",
            limits::DOCUMENT_BYTES
        );
    }
    let text = String::from_utf8(bytes).with_context(|| format!("`{shown}` is neither a link nor a layout"))?;
    let document = Document::read(text.clone()).with_context(|| format!("`{shown}` is neither a link nor a layout"))?;
    let media_type = match document.form() {
        Some(Form::Metablock) => IN_TOTO,
        Some(Form::Dsse) => DSSE,
        None => bail!("`{shown}` is not signed: `linkgate sign` puts it into an envelope"),
    };
    let step = document.name().filter(|_| document.kind() == Kind::Link);
    Ok(Link {
        name,
        digest: ManifestDigest::of(text.as_bytes()),
        step: step.map(str::to_owned),
        media_type,
        bytes: Bytes::from(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_signed_link_is_refused() {
        let made = |text: &str| {
            link(Path::new("x.link"), "x.link".to_owned(), text.into()).map_err(|error| format!("{error:#}"))
        };
        let signed = r#"{"signatures":[],"signed":{"_type":"link","name":"build"}}"#;
        let good = made(signed).unwrap();
        assert_eq!((good.step.as_deref(), good.media_type), (Some("build"), IN_TOTO));
        let layout = r#"{"signatures":[],"signed":{"_type":"layout","name":"build"}}"#;
        assert_eq!(made(layout).unwrap().step, None);
        for (wrong, why) in [
            (
                r#"{"_type":"link","name":"build","command":[],"materials":{},"products":{}}"#,
                "is not signed",
            ),
            (
                r#"{"signatures":[],"signed":{"_type":"other"}}"#,
                "neither a link nor a layout",
            ),
            ("hello", "neither a link nor a layout"),
        ] {
            let error = made(wrong).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
